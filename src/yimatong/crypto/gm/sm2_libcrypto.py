"""SM2 by OpenSSL 3 libcrypto through ctypes: the C functions that the EVP_PKEY-SM2 and SM2(7) manual pages document.

The library is looked for on the system first, then among the wheels that bring one (psycopg's). Some distributions
leave SM2 out, so a library is taken only if it verifies the published example of GB/T 32918.5 annex A.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import sys
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

_OLDEST: Final = 0x30000000
_MAX_SIGNATURE: Final = 80
_ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123

# DER of SubjectPublicKeyInfo (RFC 5480) with id-ecPublicKey and the curve 1.2.156.10197.1.301, up to the point itself
_PUBLIC_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
# DER of PrivateKeyInfo (RFC 5958) around an ECPrivateKey (RFC 5915) without public key, up to the number itself
_PRIVATE_PREFIX: Final = bytes.fromhex("3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420")

_FUNCTIONS: Final[dict[str, tuple[object, tuple[object, ...]]]] = {
    "OpenSSL_version": (c_char_p, (c_int,)),
    "OpenSSL_version_num": (c_ulong, ()),
    "ERR_clear_error": (None, ()),
    "EVP_sm3": (c_void_p, ()),
    "EVP_PKEY_Q_keygen": (c_void_p, (c_void_p, c_char_p, c_char_p)),
    "EVP_PKEY_get_bn_param": (c_int, (c_void_p, c_char_p, POINTER(c_void_p))),
    "BN_bn2binpad": (c_int, (c_void_p, c_char_p, c_int)),
    "BN_clear_free": (None, (c_void_p,)),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "d2i_PUBKEY": (c_void_p, (c_void_p, POINTER(c_char_p), c_long)),
    "i2d_PUBKEY": (c_int, (c_void_p, POINTER(c_char_p))),
    "d2i_AutoPrivateKey": (c_void_p, (c_void_p, POINTER(c_char_p), c_long)),
    "EVP_PKEY_CTX_new": (c_void_p, (c_void_p, c_void_p)),
    "EVP_PKEY_CTX_free": (None, (c_void_p,)),
    "EVP_PKEY_CTX_set1_id": (c_int, (c_void_p, c_char_p, c_int)),
    "EVP_PKEY_sign_init": (c_int, (c_void_p,)),
    "EVP_PKEY_sign": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_MD_CTX_new": (c_void_p, ()),
    "EVP_MD_CTX_free": (None, (c_void_p,)),
    "EVP_MD_CTX_set_pkey_ctx": (None, (c_void_p, c_void_p)),
    "EVP_DigestSignInit": (c_int, (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)),
    "EVP_DigestSign": (c_int, (c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "EVP_DigestVerifyInit": (c_int, (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)),
    "EVP_DigestVerify": (c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
}


def find() -> LibcryptoEngine | None:
    """Return an engine over the first usable libcrypto, or nothing."""
    for place in _places():
        try:
            engine = LibcryptoEngine(ctypes.CDLL(place))
        except (OSError, AttributeError):  # not loadable, or a function is missing
            continue
        if engine.version >= _OLDEST and engine.passes_published_example():
            return engine
    return None


def _places() -> Iterator[str]:
    if sys.platform != "darwin":  # loading Apple's own unversioned libcrypto aborts the process
        for name in ("crypto", "libcrypto-3-x64", "libcrypto-3"):
            found = ctypes.util.find_library(name)
            if found:
                yield found
    package = importlib.util.find_spec("psycopg_binary")
    if package and package.origin:
        folder = Path(package.origin).parent
        for where in (folder.with_name("psycopg_binary.libs"), folder / ".dylibs", folder):
            yield from (str(path) for path in sorted(where.glob("libcrypto*")))


class _Key:
    """An EVP_PKEY that frees itself."""

    def __init__(self, library: ctypes.CDLL, handle: int | None) -> None:
        self._library = library
        self.handle = handle
        if not handle:
            library.ERR_clear_error()
            problem = "not an SM2 key"
            raise ValueError(problem)

    def __del__(self) -> None:
        if self.handle:
            self._library.EVP_PKEY_free(self.handle)


class _Operation:
    """An EVP_MD_CTX with its EVP_PKEY_CTX and the signer's identity, both freed at the end."""

    def __init__(self, library: ctypes.CDLL, key: _Key, signer_id: bytes) -> None:
        self._library = library
        self._pkey_context = library.EVP_PKEY_CTX_new(key.handle, None)
        self.context = library.EVP_MD_CTX_new()
        if not self._pkey_context or not self.context:
            raise MemoryError
        library.EVP_MD_CTX_set_pkey_ctx(self.context, self._pkey_context)
        self.ready = library.EVP_PKEY_CTX_set1_id(self._pkey_context, signer_id, len(signer_id)) > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.EVP_MD_CTX_free(self.context)
        self._library.EVP_PKEY_CTX_free(self._pkey_context)


class LibcryptoEngine:
    """See :class:`yimatong.crypto.gm.sm2.Engine`. Parsed keys are kept: reading one costs as much as half a check."""

    def __init__(self, library: ctypes.CDLL) -> None:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self._library = library
        self._public = lru_cache(maxsize=1024)(self._read_public)
        self._private = lru_cache(maxsize=16)(self._read_private)

    @property
    def name(self) -> str:
        """What the library calls itself."""
        text: bytes = self._library.OpenSSL_version(0)
        return text.decode()

    @property
    def version(self) -> int:
        """Version number, 0x30000000 for 3.0.0."""
        return int(self._library.OpenSSL_version_num())

    def passes_published_example(self) -> bool:
        """Say whether the signature example of GB/T 32918.5 annex A verifies, and an altered one does not."""
        try:
            good = self.is_valid(_EXAMPLE_PUBLIC, b"message digest", _EXAMPLE_SIGNATURE, b"1234567812345678")
            bad = self.is_valid(_EXAMPLE_PUBLIC, b"message digesT", _EXAMPLE_SIGNATURE, b"1234567812345678")
        except ValueError:  # the curve is not there
            return False
        return good and not bad

    def generate(self) -> bytes:
        """Return a fresh private key."""
        library = self._library
        key = _Key(library, library.EVP_PKEY_Q_keygen(None, None, b"SM2"))
        number = c_void_p()
        out = ctypes.create_string_buffer(32)
        if library.EVP_PKEY_get_bn_param(key.handle, b"priv", byref(number)) != 1:
            problem = "libcrypto does not give the private key out"
            raise ValueError(problem)
        written = library.BN_bn2binpad(number, out, 32)
        library.BN_clear_free(number)
        if written != len(out):
            problem = "SM2 private key out of range"
            raise ValueError(problem)
        return out.raw

    def public_key(self, private: bytes) -> bytes:
        """Return 04 || x || y."""
        library, key = self._library, self._private(private)
        size = library.i2d_PUBKEY(key.handle, None)
        out = ctypes.create_string_buffer(size)
        library.i2d_PUBKEY(key.handle, byref(ctypes.cast(out, c_char_p)))
        if not out.raw.startswith(_PUBLIC_PREFIX):
            problem = "not an SM2 key"
            raise ValueError(problem)
        return out.raw[len(_PUBLIC_PREFIX) :]

    def sign(self, private: bytes, message: bytes, signer_id: bytes) -> bytes:
        """Return r || s."""
        library, key = self._library, self._private(private)
        size = c_size_t(_MAX_SIGNATURE)
        out = ctypes.create_string_buffer(_MAX_SIGNATURE)
        with _Operation(library, key, signer_id) as op:
            done = (
                op.ready
                and library.EVP_DigestSignInit(op.context, None, library.EVP_sm3(), None, key.handle) == 1
                and library.EVP_DigestSign(op.context, out, byref(size), message, len(message)) == 1
            )
        if not done:
            library.ERR_clear_error()
            problem = "libcrypto refused to sign"
            raise ValueError(problem)
        return _raw_from_der(out.raw[: size.value])

    def sign_digest(self, private: bytes, digest: bytes) -> bytes:
        """Return r || s over the digest itself."""
        library, key = self._library, self._private(private)
        size = c_size_t(_MAX_SIGNATURE)
        out = ctypes.create_string_buffer(_MAX_SIGNATURE)
        context = library.EVP_PKEY_CTX_new(key.handle, None)
        if not context:
            raise MemoryError
        try:
            done = (
                library.EVP_PKEY_sign_init(context) == 1
                and library.EVP_PKEY_sign(context, out, byref(size), digest, len(digest)) == 1
            )
        finally:
            library.EVP_PKEY_CTX_free(context)
        if not done:
            library.ERR_clear_error()
            problem = "libcrypto refused to sign"
            raise ValueError(problem)
        return _raw_from_der(out.raw[: size.value])

    def is_valid(self, public: bytes, message: bytes, signature: bytes, signer_id: bytes) -> bool:
        """Say whether the signature fits."""
        library, key = self._library, self._public(public)
        der = _der_from_raw(signature)
        with _Operation(library, key, signer_id) as op:
            valid = (
                op.ready
                and library.EVP_DigestVerifyInit(op.context, None, library.EVP_sm3(), None, key.handle) == 1
                and library.EVP_DigestVerify(op.context, der, len(der), message, len(message)) == 1
            )
        if not valid:
            library.ERR_clear_error()
        return bool(valid)

    def _read_public(self, public: bytes) -> _Key:
        if public[:1] != b"\x04":
            problem = "an SM2 public key is 04 || x || y"
            raise ValueError(problem)
        return self._read(self._library.d2i_PUBKEY, _PUBLIC_PREFIX + public)

    def _read_private(self, private: bytes) -> _Key:
        # n - 1 is excluded as well: signing divides by 1 + d (GB/T 32918.2 clause 6.1)
        if not 0 < int.from_bytes(private, "big") < _ORDER - 1:
            problem = "SM2 private key out of range"
            raise ValueError(problem)
        return self._read(self._library.d2i_AutoPrivateKey, _PRIVATE_PREFIX + private)

    def _read(self, function: ctypes._NamedFuncPointer, der: bytes) -> _Key:
        position = c_char_p(der)
        return _Key(self._library, function(None, byref(position), len(der)))


def _der_integer(number: bytes) -> bytes:
    body = number.lstrip(b"\0") or b"\0"
    body = b"\0" + body if body[0] & 0x80 else body
    return bytes((2, len(body))) + body


def _der_from_raw(signature: bytes) -> bytes:
    body = _der_integer(signature[:32]) + _der_integer(signature[32:])
    return bytes((0x30, len(body))) + body


def _raw_from_der(der: bytes) -> bytes:
    split = 4 + der[3]
    r, s = der[4:split], der[split + 2 :]
    return b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in (r, s))


_EXAMPLE_PUBLIC: Final = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
_EXAMPLE_SIGNATURE: Final = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
