"""Refunds: asked for by the institution, or late money that the platform returns by itself."""
