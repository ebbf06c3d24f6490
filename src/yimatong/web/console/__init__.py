"""The console of the platform's operators."""
