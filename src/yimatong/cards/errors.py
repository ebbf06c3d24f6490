"""Error catalogue of the cards room (CRD-).

What a refusal of a code says is fixed: swapped, altered, forged and unknown are one answer (*not genuine*), because
they cannot be told apart and must not become an oracle. Only a genuine code may answer with more.
"""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class AccountNotFound(Refusal):
    """No such account, or none that the caller may see."""

    code = "CRD-1001"
    status = 404
    zh = "没有找到该电子健康卡"
    en = "no such card account"


class AccountFrozen(Refusal):
    """The account is frozen."""

    code = "CRD-1002"
    status = 409
    zh = "电子健康卡已冻结"
    en = "the card account is frozen"


class AccountCancelled(Refusal):
    """The account was cancelled; registering again opens a new one."""

    code = "CRD-1003"
    status = 409
    zh = "电子健康卡已注销"
    en = "the card account was cancelled"


class RealNameTooWeak(Refusal):
    """An existing account's code goes to a new app only with a proof at least as strong as the one it has."""

    code = "CRD-1004"
    status = 403
    zh = "该居民已有更高等级的实名认证，请先完成同等级的实名认证"
    en = "the account has a stronger real-name proof; prove the resident's identity at that level first"


class RealNameMismatch(Refusal):
    """The outside register says that name and number do not belong together."""

    code = "CRD-1005"
    status = 422
    zh = "实名核验不通过：姓名与证件号码不匹配"
    en = "the real-name check failed: name and number do not belong together"


class RealNameMethodNotAllowed(Refusal):
    """Reading a certificate is a terminal's proof; an app proves online."""

    code = "CRD-1006"
    status = 422
    zh = "该接入方不能使用实名方式 {method}"
    en = "this caller cannot prove identity by {method}"


class RegistrationRaced(Unavailable):
    """The index changed between the preparation and the registration; nothing was stored."""

    code = "CRD-1007"
    zh = "登记信息刚刚发生变化，请重试"
    en = "the register changed just now; please retry"


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
