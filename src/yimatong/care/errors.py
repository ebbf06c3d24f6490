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
    """Paid or void, or still in an order that can be paid."""

    code = "CARE-2003"
    status = 409
    zh = "账单当前状态为 {state}，不能重新发起支付"
    en = "the bill is {state}; it cannot get a new order"


class BillBusy(Refusal):
    """A payment of the bill is not known to have ended, or somebody else orders it just now."""

    code = "CARE-2004"
    status = 409
    zh = "账单的上一笔支付正在确认，请稍候再试"
    en = "an earlier payment of the bill is being confirmed; try again in a moment"
    retryable = True


class BillStandsAlone(Refusal):
    """The fee of a booked visit, a deposit and the settlement of a stay are paid in an order of their own."""

    code = "CARE-2005"
    status = 409
    zh = "挂号费、预交金和出院结算须单独支付，不能与其他账单合并，挂号费也不能更换订单"
    en = "the fee of a booked visit, a deposit and the settlement of a stay are paid alone, the fee in its own order"


class AdmissionNotFound(Refusal):
    """No such stay, or another institution's: one answer for both."""

    code = "CARE-3001"
    status = 404
    zh = "住院登记不存在"
    en = "no such admission"


class AdmissionSettled(Refusal):
    """The stay is settled, or its settlement was asked for: no more deposits."""

    code = "CARE-3002"
    status = 409
    zh = "该次住院已办理或正在办理出院结算，不能再交预交金"
    en = "the stay is settled or being settled; it takes no more deposits"


class SettlementDiffers(Refusal):
    """A stay is settled once: the same number and total again answer the same, others are refused."""

    code = "CARE-3003"
    status = 409
    zh = "该次住院已按结算号 {settlement_no}、总额 {total_fen} 分办理结算"
    en = "the stay is settled under {settlement_no} with a total of {total_fen} fen"


class DepositPending(Refusal):
    """A deposit's payment is not known to have ended; nothing was settled yet."""

    code = "CARE-3004"
    status = 409
    zh = "预交金订单 {order_no} 的支付结果确认中，请稍候再办理结算"
    en = "the payment of the deposit order {order_no} is being confirmed; settle again in a moment"
    retryable = True


class PrescriptionCodeUnknown(Refusal):
    """No such prescription code, an older print of one, or another hospital's: one answer for all."""

    code = "CARE-4001"
    status = 404
    zh = "处方缴费码无效"
    en = "no such prescription code"


class PrescriptionOver(Refusal):
    """Paid, refunded or closed: there is nothing to pay by this code."""

    code = "CARE-4002"
    status = 409
    zh = "该处方当前状态为 {state}，无需或不能再缴费"
    en = "the prescription is {state}; there is nothing to pay by this code"


class PrescriptionOrderedWithOthers(Refusal):
    """Its bill stands in an open order together with others; that order would show more than this prescription."""

    code = "CARE-4003"
    status = 409
    zh = "该处方已与其他账单合并下单，请在原订单支付，或从待缴费用中单独缴纳"
    en = "the prescription stands in an order with other bills; pay that one, or order it alone from the payables"
