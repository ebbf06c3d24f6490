"""Errors of codes: CRD-2xxx.

What a refusal of a code says is fixed: swapped, altered, forged and unknown are one answer (*not genuine*), because
they cannot be told apart and must not become an oracle. Only a genuine code may answer with more.
"""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class CodeUnreadable(Refusal):
    """The text is not a code in any accepted form. Counts against the terminal, never against a resident."""

    code = "CRD-2001"
    status = 422
    zh = "二维码内容无法识别"
    en = "this text is not a health card code"


class CodeNotGenuine(Refusal):
    """Swapped, altered, forged or unknown: one answer for all."""

    code = "CRD-2002"
    status = 409
    zh = "二维码无效"
    en = "the code is not genuine"


class CodeExpired(Refusal):
    """Genuine, and its time is over (or has not begun, by the server's clock)."""

    code = "CRD-2003"
    status = 409
    zh = "二维码已过期，请刷新后重试"
    en = "the code has expired; refresh it"


class CodeUsed(Refusal):
    """Genuine, and used before."""

    code = "CRD-2004"
    status = 409
    zh = "二维码已被使用，请刷新后重试"
    en = "the code was used already; refresh it"


class CodeBurnt(Refusal):
    """Genuine, and failed three times."""

    code = "CRD-2005"
    status = 409
    zh = "二维码验证失败次数过多已作废，请刷新后重试"
    en = "the code failed three times and is burnt; refresh it"


class CodeRevoked(Refusal):
    """Genuine, and the account was frozen or cancelled, or its codes were revoked, after it was issued."""

    code = "CRD-2006"
    status = 409
    zh = "二维码已被撤销"
    en = "the code was revoked"


class CodeWrongPurpose(Refusal):
    """Genuine, and made for another purpose."""

    code = "CRD-2007"
    status = 409
    zh = "二维码不能用于该业务，请出示对应用途的动态码"
    en = "the code does not serve this purpose"


class StaticCodeSwitchedOff(Refusal):
    """The account does not allow its static code."""

    code = "CRD-2008"
    status = 409
    zh = "该居民的静态码已停用，请出示动态码"
    en = "the static code of this account is switched off"


class RecordNotFound(Refusal):
    """No such verification at this institution."""

    code = "CRD-2009"
    status = 404
    zh = "没有找到该次扫码记录"
    en = "no such verification record"
