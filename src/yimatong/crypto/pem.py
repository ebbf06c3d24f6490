"""What reading a key or certificate that somebody handed over can fail with."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)
"""Not in the form, of another kind, of an algorithm or a version of X.509 that nobody serves."""
