"""Matching over the database: candidates, training, bulk runs."""
