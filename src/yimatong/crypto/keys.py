"""Everything derived from the two kinds of keys in the device, byte by byte (``docs/spec/codes.md`` has the vectors).

::

    UK        SM4-ECB(security key, mpi)
    VUID      upper HEX(SM4-ECB(UK, ascii(id_type 2) || ascii upper(id_number) || 00.. to 32 bytes))
    K_vuid    SM4-ECB(protection key, SM3("YMT-VALID-1" || issuer || VUID)[0:16])
    data key  SM4-ECB(protection key, SM3("YMT-DATA-1" || label)[0:size]), size 16 or 32
    mpi_ref   lower HEX(SM4-ECB(data key "mpi-ref:" || caller_id, mpi))

A certificate number longer than 30 characters, or with a character outside printable ASCII (officer cards:
南字第...号), cannot stand in a VUID; its place is taken by the first 30 bytes of SM3(UTF-8 of upper(id_number)).
Such a VUID identifies like any other, but the certificate cannot be recovered from it.

Versions that are switched off make and verify nothing (``KeyDisabled``), but data keys can still be had from them, so
that what was sealed opens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from yimatong.crypto.devices.base import CryptoDevice, KeyState, KeyUsage
from yimatong.crypto.errors import CertificateNotRecoverable, KeyDisabled, KeyNotFound, ReferenceInvalid, VuidNotOurs
from yimatong.crypto.gm import sm4
from yimatong.crypto.gm.sm3 import sm3

MPI_SIZE: Final = 16
LIVE_VERSIONS: Final = 2  # at most so many protection key versions are tried on a dynamic code
_NUMBER_SIZE: Final = 30
_ID_TYPE: Final = re.compile(r"[0-9]{2}", re.ASCII)
_VUID: Final = re.compile(r"[0-9A-F]{64}", re.ASCII)
_REFERENCE: Final = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]+")


class Holder(NamedTuple):
    """What a VUID is made from: ``mpi`` 16 bytes, ``id_type`` two digits, ``id_number`` as printed."""

    mpi: bytes
    id_type: str
    id_number: str


class Certificate(NamedTuple):
    """What a VUID gives back."""

    id_type: str
    id_number: str


def active_version(device: CryptoDevice, usage: KeyUsage) -> int:
    """Return the version that new things are made with.

    Raises:
        KeyNotFound: the device has no active key of this usage.
    """
    for info in device.key_versions(usage):
        if info.state is KeyState.ACTIVE:
            return info.version
    raise KeyNotFound(usage=usage.value, version="active")


def vuid(device: CryptoDevice, version: int, mpi: bytes, id_type: str, id_number: str) -> str:
    """Return the VUID, 64 upper-case hex characters. ``ValueError`` for a malformed mpi or id type.

    Raises:
        KeyDisabled: the security key version is switched off.
        KeyNotFound: there is no such version.
    """
    return vuids(device, version, [Holder(mpi, id_type, id_number)])[0]


def vuids(device: CryptoDevice, version: int, holders: Sequence[Holder]) -> list[str]:
    """Return one VUID per holder, in order, with one device call; errors as :func:`vuid`."""
    for holder in holders:
        if len(holder.mpi) != MPI_SIZE or not _ID_TYPE.fullmatch(holder.id_type):
            message = "an mpi has 16 bytes and a certificate type two digits"
            raise ValueError(message)
    _require_live(device, KeyUsage.SECURITY, version)
    user_keys = device.encrypt_blocks(KeyUsage.SECURITY, version, b"".join(holder.mpi for holder in holders))
    return [
        sm4.encrypt_blocks(user_key, holder.id_type.encode() + _number_field(holder.id_number)).hex().upper()
        for user_key, holder in zip(_cut(user_keys), holders, strict=True)
    ]


def recover_certificate(device: CryptoDevice, version: int, mpi: bytes, vuid: str) -> Certificate:
    """Return the certificate type and number that ``vuid`` was made from; works for switched-off versions too.

    Raises:
        VuidNotOurs: malformed, or not made from ``mpi`` under this version (padding or characters do not fit).
        CertificateNotRecoverable: it holds a digest, or is not ours with a plausible type; the two look alike.
        KeyNotFound: there is no such version.
    """
    if not _VUID.fullmatch(vuid):
        raise VuidNotOurs
    user_key = device.encrypt_blocks(KeyUsage.SECURITY, version, mpi)
    plain = sm4.decrypt_blocks(user_key, bytes.fromhex(vuid))
    id_type, number = plain[:2], plain[2:].rstrip(b"\0")
    if not id_type.isdigit():
        raise VuidNotOurs
    if _PRINTABLE.fullmatch(number):
        return Certificate(id_type.decode(), number.decode())
    raise CertificateNotRecoverable


def valid_keys(device: CryptoDevice, version: int, issuer: str, vuids: Sequence[str]) -> list[bytes]:
    """Return K_vuid (16 bytes) per VUID, in order, with one device call.

    Raises:
        KeyDisabled: the protection key version is switched off.
        KeyNotFound: there is no such version.
    """
    _require_live(device, KeyUsage.PROTECTION, version)
    return _cut(device.encrypt_blocks(KeyUsage.PROTECTION, version, _valid_blocks(issuer, vuids)))


def live_valid_keys(device: CryptoDevice, issuer: str, vuids: Sequence[str]) -> dict[int, list[bytes]]:
    """Return the keys of :func:`valid_keys` for the two newest live versions, newest first.

    Raises:
        KeyNotFound: no version is live.
    """
    live = [info.version for info in device.key_versions(KeyUsage.PROTECTION) if info.live][:LIVE_VERSIONS]
    if not live:
        raise KeyNotFound(usage=KeyUsage.PROTECTION.value, version="live")
    blocks = _valid_blocks(issuer, vuids)
    return {version: _cut(device.encrypt_blocks(KeyUsage.PROTECTION, version, blocks)) for version in live}


def data_key(device: CryptoDevice, label: str, version: int, *, size: int = 16) -> bytes:
    """Return the data key named ``label`` (16 or 32 bytes; a label is used with one size only).

    Raises:
        KeyNotFound: there is no such version of the protection key.
    """
    if size not in {16, 32}:
        message = "a data key has 16 or 32 bytes"
        raise ValueError(message)
    return device.encrypt_blocks(KeyUsage.PROTECTION, version, sm3(b"YMT-DATA-1" + label.encode())[:size])


def mpi_ref_key(device: CryptoDevice, version: int, caller_id: str) -> bytes:
    """Return the key under which ``caller_id`` sees master index ids; errors as :func:`data_key`."""
    return data_key(device, f"mpi-ref:{caller_id}", version)


def mpi_ref(key: bytes, mpi: bytes) -> str:
    """Return the reference (32 lower-case hex characters) for ``mpi`` (16 bytes) under a :func:`mpi_ref_key`."""
    return sm4.encrypt_blocks(key, mpi).hex()


def mpi_from_ref(key: bytes, ref: str) -> bytes:
    """Return the 16-byte id behind ``ref``. Any 32 hex characters give some id; whether it exists, the index knows.

    Raises:
        ReferenceInvalid: not 32 hexadecimal characters.
    """
    if not _REFERENCE.fullmatch(ref):
        raise ReferenceInvalid
    return sm4.decrypt_blocks(key, bytes.fromhex(ref))


def _number_field(id_number: str) -> bytes:
    number = id_number.upper()
    if number.isascii() and number.isprintable() and 0 < len(number) <= _NUMBER_SIZE:
        return number.encode().ljust(_NUMBER_SIZE, b"\0")
    if not number:
        message = "a certificate number is not empty"
        raise ValueError(message)
    return sm3(number.encode())[:_NUMBER_SIZE]


def _valid_blocks(issuer: str, vuids: Sequence[str]) -> bytes:
    prefix = b"YMT-VALID-1" + issuer.encode()
    return b"".join([sm3(prefix + vuid.encode())[:16] for vuid in vuids])


def _cut(blocks: bytes) -> list[bytes]:
    return [blocks[i : i + 16] for i in range(0, len(blocks), 16)]


def _require_live(device: CryptoDevice, usage: KeyUsage, version: int) -> None:
    for info in device.key_versions(usage):
        if info.version == version and info.state is not KeyState.DESTROYED:
            if not info.live:
                raise KeyDisabled(usage=usage.value, version=version)
            return
    raise KeyNotFound(usage=usage.value, version=version)
