"""Preferred channels: what a resident paid by last is shown first the next time."""
