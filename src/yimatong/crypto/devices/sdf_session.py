"""One session with a GM/T 0018 device: what the platform needs of it, in bytes instead of C structures.

A session belongs to one thread at a time. Key handles and access rights live and die with it; both are kept, so that a
key is imported once a session and the access code is sent once.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_uint32, c_void_p
from typing import Any, Final, Literal

import msgspec

from yimatong.crypto.devices import sdf_abi
from yimatong.crypto.devices.sdf_abi import DeviceInfo, EccCipher, EccPublicKey, EccSignature, Library
from yimatong.crypto.errors.sdf import SdfAnswerWrong
from yimatong.crypto.errors.sdf_codes import SdfInputWrong
from yimatong.crypto.gm import sm2, sm4

_CALL_MAX: Final = 8192
"""Bytes in one call: devices limit the length of a message, and some to little more."""

_KEK_CIPHER_MAX: Final = 64


class Wrapped(msgspec.Struct, frozen=True):
    """A key as a device gave it out: under the encryption key pair (``isk``) or the KEK at ``index``.

    ``cipher``: x || y || M || C (112 bytes for SM4) under a key pair, what the device wrote under a KEK.
    """

    how: Literal["isk", "kek"]
    index: int
    cipher: bytes


class Quirks:
    """What was learned of a device and holds for all its sessions."""

    null_iv: bool = False


class Session:
    """One open session. ``pins``: the access code by key index; an index without one needs none."""

    def __init__(self, library: Library, handle: int, *, device: str, pins: dict[int, bytes], quirks: Quirks) -> None:
        self._library = library
        self._handle = handle
        self._device = device
        self._pins = pins
        self._quirks = quirks
        self._rights: set[int] = set()
        self._keys: dict[Wrapped, int] = {}

    def close(self) -> None:
        """Close it; key handles and rights go with it. Raises ``SdfError``."""
        self._keys.clear()
        self._call("SDF_CloseSession")

    def info(self) -> tuple[str, str, str]:
        """Return maker, model and serial number as the device tells them."""
        out = DeviceInfo.roomy()
        self._call("SDF_GetDeviceInfo", byref(out))
        texts = (bytes(out.IssuerName), bytes(out.DeviceName), bytes(out.DeviceSerial))
        maker, model, serial = (text.split(b"\0")[0].decode("gb18030", "replace").strip() for text in texts)
        return maker, model, serial

    def encryption_key(self, index: int) -> bytes:
        """Return the public encryption key at ``index``: 04 || x || y."""
        return self._public_key("SDF_ExportEncPublicKey_ECC", index)

    def signing_key(self, index: int) -> bytes:
        """Return the public signing key at ``index``: 04 || x || y."""
        return self._public_key("SDF_ExportSignPublicKey_ECC", index)

    def generate(self, index: int, kek_index: int) -> Wrapped:
        """Make an SM4 key and return it wrapped under the KEK at ``kek_index``, or (0) the key pair at ``index``."""
        handle = c_void_p()
        if kek_index:
            out, length = ctypes.create_string_buffer(_KEK_CIPHER_MAX), c_uint32(_KEK_CIPHER_MAX)
            arguments = (c_uint32(sdf_abi.KEY_BITS), c_uint32(sdf_abi.SGD_SM4_ECB), c_uint32(kek_index), out)
            self._call("SDF_GenerateKeyWithKEK", *arguments, byref(length), byref(handle))
            made = Wrapped(how="kek", index=kek_index, cipher=out.raw[: length.value])
        else:
            cipher = EccCipher()
            self._call("SDF_GenerateKeyWithIPK_ECC", index, sdf_abi.KEY_BITS, byref(cipher), byref(handle))
            made = Wrapped(how="isk", index=index, cipher=cipher.raw(self._device))
        self._keys[made] = self._handle_of(handle)
        return made

    def wrap(self, index: int, key: bytes) -> Wrapped:
        """Return an SM4 key, known for this moment, under the key pair at ``index``: the device encrypts if it can."""
        public = self.encryption_key(index)
        if self._library.has("SDF_ExternalEncrypt_ECC"):
            plain, cipher, to = ctypes.create_string_buffer(key, len(key)), EccCipher(), EccPublicKey.of(public)
            arguments = (c_uint32(sdf_abi.SGD_SM2_3), byref(to), plain, c_uint32(len(key)), byref(cipher))
            try:
                self._call("SDF_ExternalEncrypt_ECC", *arguments)
            finally:
                ctypes.memset(plain, 0, len(key))
            return Wrapped(how="isk", index=index, cipher=cipher.raw(self._device))
        return Wrapped(how="isk", index=index, cipher=sm2.encrypt(public, key)[1:])

    def pass_on(self, wrapped: Wrapped, to: bytes, index: int) -> Wrapped:
        """Return the same key under another device's public key (its pair ``index``); it does not come out in clear."""
        self._right(wrapped.index)
        public, given, out = EccPublicKey.of(to), EccCipher.of(wrapped.cipher), EccCipher()
        arguments = (c_uint32(wrapped.index), c_uint32(sdf_abi.SGD_SM2_3), byref(public), byref(given), byref(out))
        self._call("SDF_ExchangeDigitEnvelopeBaseOnECC", *arguments)
        return Wrapped(how="isk", index=index, cipher=out.raw(self._device))

    def encrypt(self, wrapped: Wrapped, blocks: bytes) -> bytes:
        """Return SM4-ECB of N x 16 bytes."""
        return self._blocks("SDF_Encrypt", wrapped, blocks)

    def decrypt(self, wrapped: Wrapped, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt`."""
        return self._blocks("SDF_Decrypt", wrapped, blocks)

    def check_value(self, wrapped: Wrapped) -> str:
        """Return the KCV of a wrapped key, and learn what the device wants for the IV that ECB does not have.

        The text has a place for an IV in every mode and no word on ECB; most libraries take what is given.
        """
        try:
            return self.encrypt(wrapped, bytes(sm4.BLOCK_SIZE))[:3].hex().upper()
        except SdfInputWrong:
            if wrapped not in self._keys:
                raise
            self._quirks.null_iv = not self._quirks.null_iv
        return self.encrypt(wrapped, bytes(sm4.BLOCK_SIZE))[:3].hex().upper()

    def sign(self, index: int, digest: bytes) -> bytes:
        """Return r || s (64 bytes) over a digest of 32 bytes by the signing key at ``index``."""
        self._right(index)
        data, signature = ctypes.create_string_buffer(digest, len(digest)), EccSignature()
        self._call("SDF_InternalSign_ECC", c_uint32(index), data, c_uint32(len(digest)), byref(signature))
        return signature.raw(self._device)

    def forget(self, wrapped: Wrapped) -> None:
        """Destroy the handle of a key in this session."""
        handle = self._keys.pop(wrapped, None)
        if handle is not None:
            self._call("SDF_DestroyKey", c_void_p(handle))

    def _call(self, function: str, *arguments: Any) -> None:
        self._library.call(function, c_void_p(self._handle), *arguments, device=self._device)

    def _public_key(self, function: str, index: int) -> bytes:
        out = EccPublicKey()
        self._call(function, c_uint32(index), byref(out))
        return out.point(self._device)

    def _right(self, index: int) -> None:
        pin = self._pins.get(index)
        if pin is None or index in self._rights:
            return
        text = ctypes.create_string_buffer(pin, len(pin))
        self._call("SDF_GetPrivateKeyAccessRight", c_uint32(index), text, c_uint32(len(pin)))
        self._rights.add(index)

    def _key(self, wrapped: Wrapped) -> int:
        known = self._keys.get(wrapped)
        if known is not None:
            return known
        handle = c_void_p()
        if wrapped.how == "kek":
            given = ctypes.create_string_buffer(wrapped.cipher, len(wrapped.cipher))
            arguments = (c_uint32(sdf_abi.SGD_SM4_ECB), c_uint32(wrapped.index), given, c_uint32(len(wrapped.cipher)))
            self._call("SDF_ImportKeyWithKEK", *arguments, byref(handle))
        else:
            self._right(wrapped.index)
            cipher = EccCipher.of(wrapped.cipher)
            self._call("SDF_ImportKeyWithISK_ECC", c_uint32(wrapped.index), byref(cipher), byref(handle))
        self._keys[wrapped] = self._handle_of(handle)
        return self._keys[wrapped]

    def _handle_of(self, out: c_void_p) -> int:
        if out.value is None:
            raise SdfAnswerWrong(device=self._device, what="SDR_OK without a key handle")
        return out.value

    def _blocks(self, function: str, wrapped: Wrapped, blocks: bytes) -> bytes:
        handle = self._key(wrapped)
        return b"".join(
            self._one_call(function, handle, blocks[at : at + _CALL_MAX]) for at in range(0, len(blocks), _CALL_MAX)
        )

    def _one_call(self, function: str, handle: int, blocks: bytes) -> bytes:
        room = len(blocks) + sm4.BLOCK_SIZE
        given, out = ctypes.create_string_buffer(blocks, len(blocks)), ctypes.create_string_buffer(room)
        iv = None if self._quirks.null_iv else ctypes.create_string_buffer(sm4.BLOCK_SIZE)  # fresh: libraries write it
        length = c_uint32(room)
        arguments = (c_void_p(handle), c_uint32(sdf_abi.SGD_SM4_ECB), iv, given, c_uint32(len(blocks)), out)
        self._call(function, *arguments, byref(length))
        if length.value != len(blocks):
            raise SdfAnswerWrong(device=self._device, what=f"{length.value} bytes for {len(blocks)}")
        return out.raw[: len(blocks)]
