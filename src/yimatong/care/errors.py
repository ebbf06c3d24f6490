"""Error catalogue of the care room (CARE-)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class VisitNotFound(Refusal):
    """No such visit, or another institution's: one answer for both."""

    code = "CARE-1001"
    status = 404
    zh = "就诊记录不存在"
    en = "no such visit"


class VisitExists(Refusal):
    """The institution used this visit number before."""

    code = "CARE-1002"
    status = 409
    zh = "就诊号 {visit_no} 已登记"
    en = "visit {visit_no} is registered already"


class VerificationTooOld(Refusal):
    """A visit is registered within ten minutes after the code was verified."""

    code = "CARE-1003"
    status = 409
    zh = "扫码验证已超过 {minutes} 分钟，请重新扫码"
    en = "the code was verified more than {minutes} minutes ago; read it again"


class VerificationUsed(Refusal):
    """One verification registers one visit."""

    code = "CARE-1004"
    status = 409
    zh = "该次扫码验证已登记过就诊"
    en = "this verification has registered a visit already"


class BillNotFound(Refusal):
    """No such bill, or another institution's: one answer for both."""

    code = "CARE-2001"
    status = 404
    zh = "账单不存在"
    en = "no such bill"


class BillExists(Refusal):
    """The institution used this bill number before."""

    code = "CARE-2002"
    status = 409
    zh = "账单号 {bill_no} 已存在"
    en = "bill {bill_no} exists already"


class BillNotPayable(Refusal):
    """Only an unpaid bill whose order was closed gets a new order."""

    code = "CARE-2003"
    status = 409
    zh = "账单当前状态为 {state}，不能重新发起支付"
    en = "the bill is {state}; it cannot get a new order"
