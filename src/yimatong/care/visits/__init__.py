"""Visits: a resident was here, proven by a code that this institution verified."""
