"""Agreements: a payer agrees once, and pays later without a password (免密) or by an SMS code (快捷)."""
