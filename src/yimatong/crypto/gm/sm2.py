"""SM2 signatures with SM3 (GB/T 32918.2-2016) and encryption (GB/T 32918.4-2016) on the curve of GB/T 32918.5-2017.

Private keys are 32 bytes, public keys 65 bytes (04 || x || y), signatures 64 bytes (r || s). The signer's identity
is ``1234567812345678`` unless said otherwise (GB/T 35276, GM/T 0009).

The work is done by OpenSSL's libcrypto where one with SM2 is found, else in pure Python by gmalg, some hundred
times slower. Encryption carries a key now and then and is always gmalg's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm import sm2_libcrypto, sm2_python
from yimatong.crypto.gm.sm3 import DIGEST_SIZE, sm3

DEFAULT_ID: Final = b"1234567812345678"
PRIVATE_SIZE: Final = 32
PUBLIC_SIZE: Final = 65
SIGNATURE_SIZE: Final = 64
OVERHEAD: Final = 97
"""A ciphertext is so many bytes longer than its plaintext: C1 (65) || C3 (32) || C2."""

# a, b, x_G and y_G of the recommended curve: what every Z begins with after the identity (GB/T 32918.5-2017 clause 4)
_CURVE: Final = bytes.fromhex(
    "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC"
    "28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93"
    "32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"
    "BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"
)


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

    def sign_digest(self, private: bytes, digest: bytes) -> bytes:
        """Return r || s over e itself; ``ValueError`` when ``private`` is out of range."""

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


def digest(public: bytes, message: bytes, *, signer_id: bytes = DEFAULT_ID) -> bytes:
    """Return e = SM3(Z || M) (32 bytes), what a device that never sees the message signs (GB/T 32918.2 5.5, 6.1)."""
    z = sm3((8 * len(signer_id)).to_bytes(2, "big") + signer_id + _CURVE + public[1:])
    return sm3(z + message)


def sign_digest(private: bytes, digest: bytes) -> bytes:
    """Return the signature r || s (64 bytes) over a :func:`digest`; ``ValueError`` for another length of either."""
    if len(private) != PRIVATE_SIZE or len(digest) != DIGEST_SIZE:
        problem = "an SM2 private key and a digest have 32 bytes each"
        raise ValueError(problem)
    return engine().sign_digest(private, digest)


def key_check_value(public: bytes) -> str:
    """Return what a key pair is compared by: the first 3 bytes of SM3(04 || x || y), 6 upper-case hex characters."""
    return sm3(public)[:3].hex().upper()


def encrypt(public: bytes, plain: bytes) -> bytes:
    """Return C1 || C3 || C2, 97 bytes more than ``plain``. ``ValueError`` when ``public`` is no point of the curve."""
    return sm2_python.encrypt(public, plain)


def decrypt(private: bytes, sealed: bytes) -> bytes:
    """Return the plaintext of C1 || C3 || C2. ``ValueError``: not encrypted to this key, or altered."""
    return sm2_python.decrypt(private, sealed)


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
