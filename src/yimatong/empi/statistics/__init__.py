"""Counts by any combination of facts."""
