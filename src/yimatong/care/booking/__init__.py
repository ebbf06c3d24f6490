"""Booking a visit with its registration fee: visit, bill and order at once."""
