"""Persons: found by certificate, created, read."""
