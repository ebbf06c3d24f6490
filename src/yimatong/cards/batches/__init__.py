"""Batches: residents, visit cards and physical cards from files."""
