"""A backup of the soft device: ``{"format": "YMT-BACKUP-1", "kcv", "iv", "sealed"}``.

``sealed`` is SM4-GCM over the JSON of ``Contents`` under the custodians' backup key, with the other fields as
additional data. Half-done ceremonies and the transport key are left out: they belong to the device, not to the keys.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from yimatong.crypto.devices.keystore import Contents
from yimatong.crypto.errors import BackupRefused, SealBroken
from yimatong.crypto.gm import sm4

_FORMAT: Final = "YMT-BACKUP-1"


class _Header(msgspec.Struct, frozen=True):
    format: str
    kcv: str
    iv: bytes


class _Backup(_Header, frozen=True, forbid_unknown_fields=True):
    sealed: bytes


def seal(key: bytes, contents: Contents) -> bytes:
    """Return the backup as the text of a file."""
    header = _Header(format=_FORMAT, kcv=sm4.key_check_value(key), iv=secrets.token_bytes(sm4.IV_SIZE))
    kept = Contents(demonstration=contents.demonstration, cut_off=contents.cut_off, keys=contents.keys)
    sealed = sm4.Gcm(key).seal(header.iv, msgspec.json.encode(kept), msgspec.json.encode(header))
    return msgspec.json.encode(_Backup(**msgspec.structs.asdict(header), sealed=sealed))


def unseal(key: bytes, backup: bytes) -> Contents:
    """Return what a backup holds.

    Raises:
        BackupRefused: not a backup, sealed under another key (told by the KCV), or altered.
    """
    try:
        file = msgspec.json.decode(backup, type=_Backup)
    except msgspec.DecodeError:
        raise BackupRefused(detail="format") from None
    if file.format != _FORMAT:
        raise BackupRefused(detail="format")
    if file.kcv != sm4.key_check_value(key):
        raise BackupRefused(detail=f"KCV {file.kcv}")
    header = _Header(format=file.format, kcv=file.kcv, iv=file.iv)
    try:
        plain = sm4.Gcm(key).unseal(file.iv, file.sealed, msgspec.json.encode(header))
    except (SealBroken, ValueError):
        raise BackupRefused(detail="altered") from None
    return msgspec.json.decode(plain, type=Contents)
