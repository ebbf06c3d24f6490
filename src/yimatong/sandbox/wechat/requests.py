"""Shapes of what merchants send, with the limits that WeChat Pay publishes for each field."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from yimatong.sandbox.wechat.rows import WireError

TradeNo = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_\-|*]{6,32}(?!\n)$")]
RefundNo = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_\-|*@]{1,64}(?!\n)$")]
Url = Annotated[str, Meta(pattern=r"^https?://[^?#\s]+(?!\n)$", max_length=256)]
"""No query in a notice address. WeChat Pay asks for https; plain http serves loopback."""
Fen = Annotated[int, Meta(ge=1, le=10**10)]
Text32 = Annotated[str, Meta(min_length=1, max_length=32)]

Body = TypeVar("Body", bound=msgspec.Struct)


class Amount(msgspec.Struct, frozen=True):
    """Amount of an order."""

    total: Fen
    currency: Literal["CNY"] = "CNY"


class Payer(msgspec.Struct, frozen=True):
    """Payer of a JSAPI order."""

    openid: Annotated[str, Meta(min_length=1, max_length=128)]


class H5Info(msgspec.Struct, frozen=True):
    """Scene of an H5 order."""

    type: Annotated[str, Meta(min_length=1, max_length=32)]


class SceneInfo(msgspec.Struct, frozen=True):
    """Scene of an order."""

    payer_client_ip: Annotated[str, Meta(min_length=3, max_length=45)]
    h5_info: H5Info | None = None


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the four ways to place an order (JSAPI, APP, Native, H5 下单)."""

    appid: Text32
    mchid: Text32
    description: Annotated[str, Meta(min_length=1, max_length=127)]
    out_trade_no: TradeNo
    notify_url: Url
    amount: Amount
    time_expire: datetime | None = None
    attach: Annotated[str, Meta(max_length=128)] = ""
    payer: Payer | None = None
    scene_info: SceneInfo | None = None


class CodePayer(msgspec.Struct, frozen=True):
    """Payer of a payment by code: the eighteen digits behind the picture, which begin with 10 to 15."""

    auth_code: Annotated[str, Meta(pattern=r"^1[0-5][0-9]{16}(?!\n)$")]


class StoreInfo(msgspec.Struct, frozen=True):
    """Where the code was scanned: WeChat's number of the place, or the merchant's own."""

    id: Annotated[str, Meta(max_length=32)] = ""
    out_id: Annotated[str, Meta(max_length=32)] = ""


class CodeScene(msgspec.Struct, frozen=True, kw_only=True):
    """Scene of a payment by code."""

    store_info: StoreInfo
    device_id: Annotated[str, Meta(max_length=32)] = ""
    device_ip: Annotated[str, Meta(max_length=45)] = ""


class PlaceByCode(msgspec.Struct, frozen=True, kw_only=True):
    """Body of 付款码支付."""

    appid: Text32
    mchid: Text32
    description: Annotated[str, Meta(min_length=1, max_length=127)]
    out_trade_no: TradeNo
    payer: CodePayer
    amount: Amount
    scene_info: CodeScene
    attach: Annotated[str, Meta(max_length=128)] = ""


class ReverseOrder(msgspec.Struct, frozen=True):
    """Body of 撤销."""

    appid: Text32
    mchid: Text32


class CloseOrder(msgspec.Struct, frozen=True):
    """Body of 关闭订单."""

    mchid: Text32


class RefundAmount(msgspec.Struct, frozen=True):
    """Amounts of a refund."""

    refund: Fen
    total: Fen
    currency: Literal["CNY"]


class PlaceRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Body of 退款申请."""

    out_refund_no: RefundNo
    amount: RefundAmount
    out_trade_no: str = ""
    transaction_id: str = ""
    reason: Annotated[str, Meta(max_length=80)] = ""
    notify_url: Url | None = None


def parse(body: bytes, shape: type[Body]) -> Body:
    """Read a JSON body.

    Raises:
        WireError: ``PARAM_ERROR``; the message names the field.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(400, "PARAM_ERROR", f"参数错误：{error}") from error


def check_scene(order: PlaceOrder, trade_type: str, *, moment: datetime) -> None:
    """Check what depends on the way of paying or on time; raises ``PARAM_ERROR``."""
    wrong = ""
    if trade_type == "JSAPI" and order.payer is None:
        wrong = "payer 必填"
    if trade_type == "MWEB" and (order.scene_info is None or order.scene_info.h5_info is None):
        wrong = "scene_info.h5_info 必填"
    if order.time_expire is not None and order.time_expire.tzinfo is None:
        wrong = "time_expire 应为 rfc3339 格式，带时区"
    elif order.time_expire is not None and order.time_expire <= moment:
        wrong = "time_expire 早于当前时间"
    if wrong:
        raise WireError(400, "PARAM_ERROR", f"参数错误：{wrong}")
