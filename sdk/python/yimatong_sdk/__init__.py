"""Python client of the yimatong platform: signs requests, checks answers, retries what is safe to retry."""
