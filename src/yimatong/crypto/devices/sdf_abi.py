"""The C interface of GM/T 0018 by ctypes: structures, functions, and one library with its one device handle.

What the text fixes and what is kept to here:

- every integer is a 32-bit ``unsigned int`` of the machine's own byte order; every big number is big-endian and
  right-aligned in 64 bytes (``ECCref_MAX_BITS`` 512), so a 256-bit value has 32 zero bytes before it;
- ``ECCCipher`` ends in as many bytes as ``L`` says: C1 || C3 || C2 with fixed places. Outputs are given more room than
  any library is known to write;
- a process opens a device once; sessions belong to the device handle, key handles and access rights to a session;
- nothing is said of threads, so calls are made one at a time unless the settings say that the library allows more.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, Structure, c_ubyte, c_uint32, c_void_p
from pathlib import Path
from typing import Any, Final

from yimatong.crypto.errors.sdf import SdfAnswerWrong, SdfLibraryUnusable, SdfSessionsBusy
from yimatong.crypto.errors.sdf_codes import SDR_OK, error_for

SGD_SM4_ECB: Final = 0x00000401
SGD_SM2_1: Final = 0x00020200  # signatures; GM/T 0006
SGD_SM2_3: Final = 0x00020800  # encryption
KEY_BITS: Final = 128
CURVE_BITS: Final = 256
_WIDE: Final = 64
_NUMBER: Final = 32
_SPARE: Final = 512


class DeviceInfo(Structure):
    """``DEVICEINFO``: maker, model, serial number, abilities. 100 bytes."""

    _fields_ = (
        ("IssuerName", c_ubyte * 40),
        ("DeviceName", c_ubyte * 16),
        ("DeviceSerial", c_ubyte * 16),
        ("DeviceVersion", c_uint32),
        ("StandardVersion", c_uint32),
        ("AsymAlgAbility", c_uint32 * 2),
        ("SymAlgAbility", c_uint32),
        ("HashAlgAbility", c_uint32),
        ("BufferSize", c_uint32),
    )

    @classmethod
    def roomy(cls) -> DeviceInfo:
        """Make an empty one with room behind it: some makers append fields of their own."""
        return cls.from_buffer(bytearray(_SPARE))


class EccPublicKey(Structure):
    """``ECCrefPublicKey``: 132 bytes."""

    _fields_ = (("bits", c_uint32), ("x", c_ubyte * _WIDE), ("y", c_ubyte * _WIDE))

    @classmethod
    def of(cls, point: bytes) -> EccPublicKey:
        """Make it from 04 || x || y (65 bytes)."""
        x, y = point[1 : 1 + _NUMBER], point[1 + _NUMBER :]
        return cls(CURVE_BITS, _wide(x), _wide(y))

    def point(self, device: str) -> bytes:
        """Return 04 || x || y.

        Raises:
            SdfAnswerWrong: not a key of 256 bits, right-aligned.
        """
        if self.bits != CURVE_BITS:
            raise SdfAnswerWrong(device=device, what=f"bits={self.bits}")
        return b"\x04" + _number(self.x, device) + _number(self.y, device)


class EccSignature(Structure):
    """``ECCSignature``: 128 bytes."""

    _fields_ = (("r", c_ubyte * _WIDE), ("s", c_ubyte * _WIDE))

    def raw(self, device: str) -> bytes:
        """Return r || s (64 bytes); errors as :meth:`EccPublicKey.point`."""
        return _number(self.r, device) + _number(self.s, device)


class EccCipher(Structure):
    """``ECCCipher`` with room for ``C``; a key of 16 bytes makes ``L`` 16."""

    _fields_ = (
        ("x", c_ubyte * _WIDE),
        ("y", c_ubyte * _WIDE),
        ("M", c_ubyte * _NUMBER),
        ("L", c_uint32),
        ("C", c_ubyte * _SPARE),
    )

    @classmethod
    def of(cls, cipher: bytes) -> EccCipher:
        """Make it from x (32) || y (32) || M (32) || C, i.e. C1 || C3 || C2 without the 04."""
        x, y, check, body = cipher[:32], cipher[32:64], cipher[64:96], cipher[96:]
        made = cls(_wide(x), _wide(y), (c_ubyte * _NUMBER).from_buffer_copy(check), len(body))
        ctypes.memmove(made.C, body, len(body))
        return made

    def raw(self, device: str) -> bytes:
        """Reverse :meth:`of`; errors as :meth:`EccPublicKey.point`."""
        if not 0 < self.L <= _SPARE:
            raise SdfAnswerWrong(device=device, what=f"L={self.L}")
        return _number(self.x, device) + _number(self.y, device) + bytes(self.M) + bytes(self.C)[: self.L]


def _wide(number: bytes) -> ctypes.Array[c_ubyte]:
    return (c_ubyte * _WIDE).from_buffer_copy(number.rjust(_WIDE, b"\0"))


def _number(wide: ctypes.Array[c_ubyte], device: str) -> bytes:
    value = bytes(wide)
    if any(value[:_NUMBER]):
        raise SdfAnswerWrong(device=device, what="a number of 256 bits is not right-aligned in its 64 bytes")
    return value[_NUMBER:]


_OUT: Final = POINTER(c_void_p)
_LENGTH: Final = POINTER(c_uint32)

_FUNCTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "SDF_OpenDevice": (_OUT,),
    "SDF_CloseDevice": (c_void_p,),
    "SDF_OpenSession": (c_void_p, _OUT),
    "SDF_CloseSession": (c_void_p,),
    "SDF_GetDeviceInfo": (c_void_p, POINTER(DeviceInfo)),
    "SDF_GetPrivateKeyAccessRight": (c_void_p, c_uint32, c_void_p, c_uint32),
    "SDF_ExportSignPublicKey_ECC": (c_void_p, c_uint32, POINTER(EccPublicKey)),
    "SDF_ExportEncPublicKey_ECC": (c_void_p, c_uint32, POINTER(EccPublicKey)),
    "SDF_GenerateKeyWithIPK_ECC": (c_void_p, c_uint32, c_uint32, POINTER(EccCipher), _OUT),
    "SDF_ImportKeyWithISK_ECC": (c_void_p, c_uint32, POINTER(EccCipher), _OUT),
    "SDF_DestroyKey": (c_void_p, c_void_p),
    "SDF_InternalSign_ECC": (c_void_p, c_uint32, c_void_p, c_uint32, POINTER(EccSignature)),
    "SDF_Encrypt": (c_void_p, c_void_p, c_uint32, c_void_p, c_void_p, c_uint32, c_void_p, _LENGTH),
    "SDF_Decrypt": (c_void_p, c_void_p, c_uint32, c_void_p, c_void_p, c_uint32, c_void_p, _LENGTH),
}
_WHERE_PRESENT: Final[dict[str, tuple[Any, ...]]] = {
    "SDF_GenerateKeyWithKEK": (c_void_p, c_uint32, c_uint32, c_uint32, c_void_p, _LENGTH, _OUT),
    "SDF_ImportKeyWithKEK": (c_void_p, c_uint32, c_uint32, c_void_p, c_uint32, _OUT),
    "SDF_ExternalEncrypt_ECC": (c_void_p, c_uint32, POINTER(EccPublicKey), c_void_p, c_uint32, POINTER(EccCipher)),
    "SDF_ExchangeDigitEnvelopeBaseOnECC": (
        *(c_void_p, c_uint32, c_uint32, POINTER(EccPublicKey), POINTER(EccCipher), POINTER(EccCipher)),
    ),
}

_loaded: dict[tuple[int, int], Library] = {}
_loading = threading.Lock()


class Library:
    """One loaded library. Get it by :meth:`load`: one object per file and process, whoever asks.

    ``serialised``: no two calls at once. Every call returns ``SDR_OK`` or raises the named error of its code.
    """

    def __init__(self, path: Path, *, wait_s: float) -> None:
        self.path: Final = path
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._sparing = True
        try:
            self._cdll = ctypes.CDLL(str(path), mode=getattr(os, "RTLD_LOCAL", 0) | getattr(os, "RTLD_NOW", 0))
        except OSError as error:
            raise SdfLibraryUnusable(reason=str(error)) from error
        self._functions: dict[str, Any] = {}
        for name, arguments in {**_FUNCTIONS, **_WHERE_PRESENT}.items():
            function = getattr(self._cdll, name, None)
            if function is None:
                if name in _FUNCTIONS:
                    raise SdfLibraryUnusable(reason=f"{path.name}: {name}")
                continue
            function.argtypes, function.restype = arguments, c_uint32
            self._functions[name] = function

    @classmethod
    def load(cls, path: Path, *, serialised: bool = True, wait_s: float = 5.0) -> Library:
        """Load the library at ``path``, or return it if this process has it already.

        Raises:
            SdfLibraryUnusable: no such file, not a library, or a function is missing.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise SdfLibraryUnusable(reason=f"{path.name}: {error.strerror}") from error
        with _loading:
            library = _loaded.get((status.st_dev, status.st_ino))
            if library is None:
                library = _loaded[status.st_dev, status.st_ino] = cls(path, wait_s=wait_s)
        library._sparing = library._sparing and not serialised  # one careful user is enough
        return library

    def has(self, function: str) -> bool:
        """Say whether the library offers a function of another edition."""
        return function in self._functions

    def call(self, function: str, *arguments: Any, device: str) -> None:
        """Call ``function``.

        Raises:
            SdfError: the named error of what it returned.
            SdfSessionsBusy: another call does not end.
        """
        with self._alone(device):
            returned = self._functions[function](*arguments)
        if returned != SDR_OK:
            raise error_for(returned, device=device, function=function)

    @contextmanager
    def _alone(self, device: str) -> Iterator[None]:
        if self._sparing:
            yield
            return
        if not self._lock.acquire(timeout=self._wait_s):
            raise SdfSessionsBusy(device=device)
        try:
            yield
        finally:
            self._lock.release()
