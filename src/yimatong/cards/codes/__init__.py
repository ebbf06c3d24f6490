"""Codes: issued, drawn, verified, consumed, burnt, revoked."""
