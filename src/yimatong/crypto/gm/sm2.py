"""SM2 signatures with SM3 (GB/T 32918.2-2016) on the recommended curve (GB/T 32918.5-2017).

Private keys are 32 bytes, public keys 65 bytes (04 || x || y), signatures 64 bytes (r || s). The signer's identity
is ``1234567812345678`` unless said otherwise (GB/T 35276, GM/T 0009).

The work is done by OpenSSL's libcrypto where one with SM2 is found, else in pure Python by gmalg, some hundred
times slower.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm import sm2_libcrypto, sm2_python

DEFAULT_ID: Final = b"1234567812345678"
PRIVATE_SIZE: Final = 32
PUBLIC_SIZE: Final = 65
SIGNATURE_SIZE: Final = 64


class Engine(Protocol):
    """Whoever computes; both engines take the same shapes."""

    @property
    def name(self) -> str:
        """Name for the log, with version."""

    def generate(self) -> bytes:
        """Return a fresh private key."""

    def public_key(self, private: bytes) -> bytes:
        """Return the public key; ``ValueError`` when ``private`` is out of range."""

    def sign(self, private: bytes, message: bytes, signer_id: bytes) -> bytes:
        """Return r || s; ``ValueError`` when ``private`` is out of range."""

    def is_valid(self, public: bytes, message: bytes, signature: bytes, signer_id: bytes) -> bool:
        """Say whether the signature fits; ``ValueError`` when ``public`` is no point of the curve."""


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Return the fastest engine that passes the published example; chosen once per process."""
    return sm2_libcrypto.find() or sm2_python.PythonEngine()


def generate_keypair() -> tuple[bytes, bytes]:
    """Return a fresh private key (32 bytes) and its public key (65 bytes)."""
    private = engine().generate()
    return private, engine().public_key(private)


def public_key(private: bytes) -> bytes:
    """Return the public key (65 bytes) of ``private`` (32 bytes). ``ValueError`` when it is out of range."""
    if len(private) != PRIVATE_SIZE:
        message = "an SM2 private key has 32 bytes"
        raise ValueError(message)
    return engine().public_key(private)


def sign(private: bytes, message: bytes, *, signer_id: bytes = DEFAULT_ID) -> bytes:
    """Return the signature r || s (64 bytes) of ``message``. ``ValueError`` for a malformed private key."""
    if len(private) != PRIVATE_SIZE:
        problem = "an SM2 private key has 32 bytes"
        raise ValueError(problem)
    return engine().sign(private, message, signer_id)


def verify(public: bytes, message: bytes, signature: bytes, *, signer_id: bytes = DEFAULT_ID) -> None:
    """Check that ``signature`` (64 bytes) was made over ``message`` by the holder of ``public``.

    Raises:
        SignatureInvalid: it was not, or key or signature are malformed.
    """
    if len(public) != PUBLIC_SIZE or len(signature) != SIGNATURE_SIZE:
        raise SignatureInvalid
    try:
        valid = engine().is_valid(public, message, signature, signer_id)
    except ValueError:
        raise SignatureInvalid from None
    if not valid:
        raise SignatureInvalid
