"""Two-in-one codes (二码合一): a dynamic code that carries a payment provider's data."""
