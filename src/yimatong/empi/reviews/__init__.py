"""The steward's queue."""
