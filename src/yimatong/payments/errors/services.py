"""Errors of service channels, of telling them, and of the administration of channels."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class ServiceChannelNotFound(Refusal):
    """No such service channel, or it is somebody else's."""

    code = "PAY-4201"
    status = 404
    zh = "没有这个服务渠道"
    en = "no such service channel"


class ServiceChannelOff(Refusal):
    """The service channel is switched off: no payment starts from it."""

    code = "PAY-4202"
    status = 409
    zh = "服务渠道已停用"
    en = "the service channel is switched off"


class TerminalNotOfChannel(Refusal):
    """The terminal number is none of the service channel's own."""

    code = "PAY-4203"
    status = 422
    zh = "终端 {terminal_no} 不属于该服务渠道"
    en = "the terminal {terminal_no} is none of this service channel's"


class TerminalExists(Refusal):
    """The service channel has a terminal of this number."""

    code = "PAY-4204"
    status = 409
    zh = "终端 {terminal_no} 已经登记"
    en = "the terminal {terminal_no} is registered already"


class ServiceChannelInvalid(Refusal):
    """What is to be registered or changed makes no sense."""

    code = "PAY-4205"
    status = 422
    zh = "服务渠道资料不正确：{detail}"
    en = "the service channel's details are not valid: {detail}"


class ProofWrong(Refusal):
    """The proof of an order fits neither the key that is due nor the one before it, or a needed one is missing."""

    code = "PAY-4206"
    status = 401
    zh = "服务渠道或终端的校验码不正确"
    en = "the proof of the service channel or its terminal does not hold"


class DeliveryNotParked(Refusal):
    """No such message of this order, or it is not parked: it was delivered, or is still being tried."""

    code = "PAY-4207"
    status = 409
    zh = "该消息不存在，或不在待人工处理之列"
    en = "no such message of this order that is parked"


class AccountChangeInvalid(Refusal):
    """A change of a merchant account that makes no sense; nothing of it is kept."""

    code = "PAY-4208"
    status = 422
    zh = "商户账户资料不正确：{detail}"
    en = "the merchant account's details are not valid: {detail}"


class AccountChangeGone(Refusal):
    """The proposal was decided already, or what it would change has changed since."""

    code = "PAY-4209"
    status = 409
    zh = "该变更已处理，或账户在提出后又有变化，请重新提出"
    en = "the change was decided already, or the account has changed since; propose it again"


class AccountUnknown(Refusal):
    """No such merchant account, or it is another institution's."""

    code = "PAY-4210"
    status = 404
    zh = "没有商户账户 {account_id}"
    en = "no merchant account {account_id}"
