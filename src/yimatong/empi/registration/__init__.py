"""Registration and update by information providers."""
