"""Reconciliation files (对账文件) of UnionPay: how they are packed, and the byte layout of a detail record. Pure.

Sources: 《全渠道平台接入接口规范 第 3 部分 文件接口》 and the parsers in the vendor's published demonstrations. An
answer carries base64(zlib(zip)). Inside, ``INN<YYMMDD>88ZM_<merchant>`` lists the transactions (一般交易明细) and
``...ZME_<merchant>`` the corrections (差错交易明细). A ZM record has 42 fields of fixed widths in **bytes**
(GBK), one separator byte between them: 607 bytes. One published copy of the document gives the last field 99 bytes
instead of 98, and later versions carve fields out of it; so the last field takes whatever the record still has.

A file belongs to a *settlement date* (清算日期), which changes at UnionPay's cut-off (about 23:00; the exact hour is in
no public source), not at midnight: what is paid later in the evening stands in the file of the next day. 跨行清算 (the
movement of the money itself) is no part of these files: field 33 (清算净额) is what UnionPay pays out for the record.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping

DETAIL, CORRECTIONS = "ZM_", "ZME_"
PACKED_BYTES_MAX = 64 << 20
FILE_BYTES_MAX = 256 << 20
_NAME_AT = 11
_ENTRIES_MAX = 64

FIELDS: tuple[tuple[str, int], ...] = (
    ("交易代码", 3),
    ("代理机构标识码", 11),
    ("发送机构标识码", 11),
    ("系统跟踪号", 6),
    ("交易传输时间", 10),
    ("帐号", 19),
    ("交易金额", 12),
    ("商户类别", 4),
    ("终端类型", 2),
    ("查询流水号", 21),
    ("支付方式（旧）", 2),
    ("商户订单号", 32),
    ("支付卡类型", 2),
    ("原始交易系统跟踪号", 6),
    ("原始交易日期时间", 10),
    ("商户手续费", 13),
    ("结算金额", 13),
    ("支付方式", 4),
    ("集团商户代码", 15),
    ("交易类型", 2),
    ("交易子类", 2),
    ("业务类型", 6),
    ("帐号类型", 2),
    ("账单类型", 4),
    ("账单号码", 32),
    ("交互方式", 1),
    ("原交易查询流水号", 21),
    ("商户代码", 15),
    ("分账入账方式", 1),
    ("二级商户代码", 15),
    ("二级商户简称", 32),
    ("二级商户分账入账金额", 13),
    ("清算净额", 13),
    ("终端号", 8),
    ("商户自定义域", 32),
    ("优惠金额", 13),
    ("发票金额", 13),
    ("分期附加手续费", 12),
    ("分期期数", 2),
    ("交易介质", 1),
    ("原始交易订单号", 32),
    ("保留", 98),
)
RECORD_BYTES = sum(width for _, width in FIELDS) + len(FIELDS) - 1
CORRECTION_WIDTHS = (3, 11, 11, 6, 10, 19, 12, 4, 2, 2, 6, 10, 4, 12, 13, 13, 15, 15, 1, 12, 2, 135)
"""Widths of a ZME record; public sources name no fields."""


class Broken(Exception):
    """Not a file as it is published; the text says where."""


def unpack(content: str, wanted: str) -> bytes | None:
    """Return the file whose name has ``wanted`` (``ZM_`` or ``ZME_``) after ``INN`` and eight digits; None when absent.

    Raises:
        Broken: not base64(zlib(zip)), more than one such file, or larger than the limits.
    """
    try:
        packed = base64.b64decode(content, validate=True)
        archive = _inflate(packed)
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if len(entries) > _ENTRIES_MAX:
                message = f"{len(entries)} files in the archive"
                raise Broken(message)
            found = [each for each in entries if _is(each.filename, wanted)]
            if len(found) > 1:
                message = f"{len(found)} files {wanted}"
                raise Broken(message)
            return _extract(opened, found[0]) if found else None
    except (binascii.Error, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        message = f"not base64(zlib(zip)): {type(error).__name__}"
        raise Broken(message) from error
    except (RuntimeError, EOFError, OSError) as error:
        message = f"the archive cannot be read: {type(error).__name__}"
        raise Broken(message) from error


def records_of(file: bytes) -> Iterator[bytes]:
    """Return the records of a file, one line each; empty lines are left out."""
    return (line for line in file.replace(b"\r\n", b"\n").split(b"\n") if line)


def fields_of(record: bytes) -> Mapping[str, str]:
    """Return the 42 fields of a ZM record by name, without the spaces that fill them.

    Raises:
        Broken: too short.
    """
    if len(record) < RECORD_BYTES:
        message = f"a record of {len(record)} bytes, not {RECORD_BYTES}"
        raise Broken(message)
    fields, at = {}, 0
    for number, (name, width) in enumerate(FIELDS, 1):
        end = len(record) if number == len(FIELDS) else at + width
        fields[name] = record[at:end].decode("gbk", errors="replace").strip()
        at = end + 1
    return fields


def signed_fen(text: str) -> int:
    """Return an amount written as C or D and digits: C (贷记, to the merchant) is positive. Raises ``Broken``."""
    sign, digits = text[:1], text[1:]
    if sign not in ("C", "D") or not (digits.isascii() and digits.isdecimal()):
        message = f"an amount {text[:16]!r}"
        raise Broken(message)
    return int(digits) if sign == "C" else -int(digits)


def _is(name: str, wanted: str) -> bool:
    return name.startswith("INN") and name[_NAME_AT:].startswith(wanted)


def _inflate(packed: bytes) -> bytes:
    inflate = zlib.decompressobj()
    archive = inflate.decompress(packed, PACKED_BYTES_MAX)
    if not inflate.eof:
        message = f"zlib: truncated, or more than {PACKED_BYTES_MAX} bytes"
        raise Broken(message)
    return archive


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > FILE_BYTES_MAX:
        message = f"a file of {entry.file_size} bytes"
        raise Broken(message)
    with opened.open(entry) as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        message = f"a file of more than {FILE_BYTES_MAX} bytes"
        raise Broken(message)
    return content
