"""Stays in hospital: admission, deposits, and the settlement on discharge."""
