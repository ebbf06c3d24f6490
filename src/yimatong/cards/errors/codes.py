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


class CodeElsewhere(Refusal):
    """Genuine, good for several uses, and in use at another institution or for another visit. Counts as a failure."""

    code = "CRD-2010"
    status = 409
    zh = "二维码已在其他机构或其他就诊中使用，请刷新后重试"
    en = "the code is in use at another institution or for another visit; refresh it"


class NotOpenToApplication(Refusal):
    """The policy of this application (or institution) does not allow this class of codes or this purpose."""

    code = "CRD-2011"
    status = 403
    zh = "该应用的用码策略未开通：{what}"
    en = "the code policy of this application does not allow: {what}"


class LifetimeTooLong(Refusal):
    """A longer lifetime was asked for than the policy of this application allows for the class."""

    code = "CRD-2012"
    status = 422
    zh = "该应用此类动态码的有效期不得超过 {limit_s} 秒"
    en = "codes of this class live at most {limit_s} s for this application"


class TerminalThrottled(Refusal):
    """This caller sent too many texts that are no genuine codes, cards or certificates; nothing is read for a while."""

    code = "CRD-2013"
    status = 429
    zh = "该终端短时间内提交了过多无效的二维码、卡号或证件，已暂停验证，请于 {retry_after_s} 秒后再试"
    en = "this terminal sent too many codes, cards or certificates that are none; try again in {retry_after_s} s"


class OfflineNotForClass(Refusal):
    """Codes for records and payment are never made for reading without the network."""

    code = "CRD-2014"
    status = 422
    zh = "离线码只用于挂号、就诊等低风险业务，不能用于查阅记录或支付"
    en = "offline codes serve registration and visits only, never records or payment"


class TokenNotAllowed(Refusal):
    """The payment provider's data cannot stand in a code."""

    code = "CRD-2015"
    status = 422
    zh = "支付数据不能放入二维码：应以 P. 开头，后接 1 到 210 个字母、数字或 ._~=/+-"
    en = "this token cannot stand in a code: P. and then 1 to 210 letters, digits or ._~=/+-"


class PolicyInvalid(Refusal):
    """A policy with a value outside its bounds."""

    code = "CRD-2016"
    status = 422
    zh = "用码策略不符合要求：{detail}"
    en = "this code policy is not allowed: {detail}"
