"""Errors of the registry of physical cards and of identification by any medium: CRD-3xxx.

What was presented and is not in force is refused by its own name; what is unknown, and what does not belong together,
is one answer, so that nobody learns by asking who is registered.
"""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class CardNotFound(Refusal):
    """No such physical card, or none that the caller may see."""

    code = "CRD-3001"
    status = 404
    zh = "没有找到该实体卡"
    en = "no such physical card"


class CardLost(Refusal):
    """The card was reported lost; its holder gets it back or has it replaced at the issuer."""

    code = "CRD-3002"
    status = 409
    zh = "该实体卡已挂失，不能使用"
    en = "the physical card was reported lost"


class CardReplaced(Refusal):
    """The card was replaced; the new one is to be presented."""

    code = "CRD-3003"
    status = 409
    zh = "该实体卡已补换新卡，请出示新卡"
    en = "the physical card was replaced; present the new one"


class CardCancelled(Refusal):
    """The card was cancelled; a cancelled card never comes back."""

    code = "CRD-3004"
    status = 409
    zh = "该实体卡已注销"
    en = "the physical card was cancelled"


class CardNumberTaken(Refusal):
    """Another card in force has this number and type, or this very plastic with other facts."""

    code = "CRD-3005"
    status = 409
    zh = "该卡号已登记在另一张有效卡上"
    en = "another card in force has this number"


class ChipNumberTaken(Refusal):
    """Another card in force has this chip."""

    code = "CRD-3006"
    status = 409
    zh = "该芯片号已登记在另一张有效卡上"
    en = "another card in force has this chip"


class CardNumberInvalid(Refusal):
    """Not a number that a card or its chip can have: 4 to 40 letters, digits and hyphens."""

    code = "CRD-3007"
    status = 422
    zh = "卡号或芯片号格式不正确"
    en = "the number of the card or of its chip is malformed"


class CardTypeUnknown(Refusal):
    """Not a type of physical card that the registry keeps."""

    code = "CRD-3008"
    status = 422
    zh = "实体卡类型不支持：{card_type}"
    en = "unsupported type of physical card: {card_type}"


class CardChangeNotAllowed(Refusal):
    """The caller may not make this change: an app reports a card lost and nothing else."""

    code = "CRD-3009"
    status = 403
    zh = "该接入方不能办理此项实体卡业务，请到发卡机构窗口办理"
    en = "this caller cannot make this change; it is made at the issuer's window"


class IdentifyByOneMedium(Refusal):
    """A request to identify names exactly one medium: code, card number with type, chip number, or certificate."""

    code = "CRD-3010"
    status = 422
    zh = "请只提供一种身份介质：二维码、卡号和卡类型、芯片号，或证件类型、证件号码和姓名"
    en = "give exactly one medium: code; card number and type; chip number; or certificate type, number and name"


class NotIdentified(Refusal):
    """Nobody is found by the medium, or the name is not the holder's: one answer for both."""

    code = "CRD-3011"
    status = 404
    zh = "没有找到与该身份介质相符的居民"
    en = "nobody is found by this medium"


class MediumWrongPurpose(Refusal):
    """A card or a certificate serves registration and visits; records and payments ask for a dynamic code."""

    code = "CRD-3012"
    status = 409
    zh = "该身份介质不能用于此业务，请出示对应用途的动态码"
    en = "this medium does not serve the purpose; show a dynamic code made for it"


class ArrivalFailed(Refusal):
    """A row of a delivery that could not be registered for a reason nobody foresaw; its neighbours were."""

    code = "CRD-3014"
    status = 422
    zh = "该行登记时出现意外错误（{failure}），请将批次和行号告知平台"
    en = "this row met an unexpected failure ({failure}); tell the platform the delivery and the line"


class DeliveryNotFound(Refusal):
    """No such delivery of this institution."""

    code = "CRD-3013"
    status = 404
    zh = "没有找到该批次"
    en = "no such delivery"
