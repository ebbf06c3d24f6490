"""Queries by any combination of facts, over sealed data."""
