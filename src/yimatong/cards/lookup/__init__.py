"""Finding accounts, and their history."""
