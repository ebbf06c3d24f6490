"""Errors of card accounts: CRD-1xxx."""

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
