"""The books of the simulated WeChat Pay: orders, refunds, notices, and the verbs that change them.

Every verb is synchronous and takes ``now`` (the wall clock); business time is ``now`` plus the offset of the
conditions. A verb notes its changes in the store; the edge flushes before it answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.store import Store
from yimatong.sandbox.wechat.keys import check_public_key
from yimatong.sandbox.wechat.requests import PlaceByCode, PlaceOrder, PlaceRefund, check_scene
from yimatong.sandbox.wechat.rows import (
    ClosedDay,
    CodeRow,
    Conditions,
    Faults,
    Merchant,
    MixedRow,
    Notice,
    Order,
    Refund,
    WireError,
)
from yimatong.sandbox.wechat.signers import Signers

REFUNDS_MAX = 50
API_V3_KEY_BYTES = 32
_CONDITIONS = "conditions"


class WeChat:
    """One simulated WeChat Pay."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.signers = Signers(store)
        self.key = self.signers.public
        self.faults = Faults()
        self.wake = asyncio.Event()
        self.merchants = store.table("wechat.merchants", Merchant)
        self.orders = store.table("wechat.orders", Order)
        self.refunds = store.table("wechat.refunds", Refund)
        self.notices = store.table("wechat.notices", Notice)
        self.days = store.table("wechat.days", ClosedDay)
        self.codes = store.table("wechat.codes", CodeRow)
        self.mixed = store.table("wechat.mixed", MixedRow)
        self._conditions = store.table("wechat.conditions", Conditions)
        self._by_token: dict[str, str] = {}
        self._refunds_of: dict[str, list[str]] = {}
        self.settling = {refund.key for refund in self.refunds if refund.status == "PROCESSING"}
        self.pending = {notice.notice_id for notice in self.notices if notice.state == "pending"}
        for order in self.orders:
            self._index(order)
        for refund in self.refunds:
            self._refunds_of.setdefault(f"{refund.mchid}/{refund.out_trade_no}", []).append(refund.key)

    @property
    def conditions(self) -> Conditions:
        """Return the lasting conditions."""
        return self._conditions.get(_CONDITIONS) or Conditions()

    def set_conditions(self, conditions: Conditions) -> None:
        """Replace the lasting conditions."""
        self._conditions.put(_CONDITIONS, conditions)
        self.wake.set()

    def business_time(self, now: datetime) -> datetime:
        """Return the moment that orders, expiry and bills go by."""
        return now + timedelta(seconds=self.conditions.business_offset_s)

    def wire_time(self, now: datetime) -> datetime:
        """Return the moment that signatures go by."""
        return now + timedelta(seconds=self.conditions.wire_offset_s)

    def register(self, merchant: Merchant) -> None:
        """Admit a merchant, or replace its keys. Raises ``PARAM_ERROR``."""
        check_public_key(merchant.public_key_pem)
        if len(merchant.api_v3_key.encode()) != API_V3_KEY_BYTES:
            raise WireError(400, "PARAM_ERROR", "api_v3_key 应为 32 字节")
        self.merchants.put(merchant.mchid, merchant)

    def place(self, merchant: Merchant, trade_type: str, request: PlaceOrder, *, now: datetime) -> Order:
        """Place an order; the same request again returns the same order while it is unpaid."""
        known, digest = self._placed_before(merchant, trade_type, request)
        if known is not None:
            _still_open(known)
            return known
        moment = self.business_time(now)
        check_scene(request, trade_type, moment=moment)
        order = Order(
            mchid=merchant.mchid,
            appid=request.appid,
            out_trade_no=request.out_trade_no,
            trade_type=trade_type,
            description=request.description,
            attach=request.attach,
            notify_url=request.notify_url,
            total_fen=request.amount.total,
            time_expire=request.time_expire,
            openid=request.payer.openid if request.payer else "",
            digest=digest,
            prepay_id=f"wx{moment.astimezone(BEIJING):%d%H%M%S}{secrets.token_hex(13)}",
            pr=secrets.token_urlsafe(6),
            created_at=moment,
        )
        self._save(order)
        return order

    def place_by_code(self, merchant: Merchant, request: PlaceByCode, *, now: datetime) -> Order:
        """Pay by a payer's code; the same request again returns the order while its end is open.

        Raises:
            WireError: the code is unknown, used or old; ``NOT_ENOUGH``; ``USERPAYING`` where the code says so.
        """
        known, digest = self._placed_before(merchant, "MICROPAY", request)
        if known is not None:
            if known.trade_state != "USERPAYING":
                _still_open(known)
            return known
        code, moment = self.codes.get(request.payer.auth_code), self.business_time(now)
        if code is None:
            raise WireError(400, "AUTH_CODE_INVALID", "每个二维码仅限使用一次，请刷新再试")
        if code.used_by or code.expires_at < now:
            raise WireError(400, "AUTH_CODE_EXPIRE", "二维码已过期，请用户在微信上刷新后再试")
        self.codes.put(code.auth_code, replace(code, used_by=f"{merchant.mchid}/{request.out_trade_no}"))
        order = Order(
            mchid=merchant.mchid,
            appid=request.appid,
            out_trade_no=request.out_trade_no,
            trade_type="MICROPAY",
            description=request.description,
            attach=request.attach,
            notify_url="",
            total_fen=request.amount.total,
            time_expire=None,
            openid=code.openid,
            digest=digest,
            prepay_id="",
            pr="",
            created_at=moment,
            trade_state={"pays": "NOTPAY", "poor": "PAYERROR"}.get(code.ends, "USERPAYING"),
        )
        self._save(order)
        if code.ends == "poor":
            raise WireError(403, "NOT_ENOUGH", "用户账号余额不足")
        if code.ends == "asks_refusing":
            raise WireError(400, "USERPAYING", "用户支付中，需要输入密码")
        return self.pay(order, now=now) if code.ends == "pays" else order

    def reverse(self, mchid: str, out_trade_no: str) -> Order:
        """Reverse a payment by code (撤销): unpaid it is ended, paid it is given back whole. Again is no error.

        A payment that was given back leaves no row in the bills here: how the real ones show it is not published.
        """
        order = self.order(mchid, out_trade_no)
        if order.trade_type != "MICROPAY" or order.trade_state == "REFUND":
            raise WireError(400, "INVALID_REQUEST", "该订单不支持撤销")
        if order.trade_state in ("NOTPAY", "USERPAYING", "SUCCESS"):
            order = replace(order, trade_state="REVOKED", paid_at=None)
            self._save(order)
        return order

    def _placed_before(
        self, merchant: Merchant, trade_type: str, request: PlaceOrder | PlaceByCode
    ) -> tuple[Order | None, str]:
        """Return the order that the same request placed before, and the request's digest."""
        if request.mchid != merchant.mchid:
            raise WireError(400, "PARAM_ERROR", "mchid 与签名的商户号不一致")
        if request.appid not in {merchant.appid, merchant.mini_appid}:
            raise WireError(400, "APPID_MCHID_NOT_MATCH", "商户号和appid不匹配")
        digest = _digest(trade_type, request)
        known = self.orders.get(f"{merchant.mchid}/{request.out_trade_no}")
        if known is not None and known.digest != digest:
            raise WireError(403, "OUT_TRADE_NO_USED", "商户订单号重复，请核实商户订单号是否重复提交")
        return known, digest

    def order(self, mchid: str, out_trade_no: str) -> Order:
        """Return an order by the merchant's number. Raises ``ORDER_NOT_EXIST``."""
        return self._known(self.orders.get(f"{mchid}/{out_trade_no}"))

    def order_of(self, token: str) -> Order:
        """Return an order by prepay_id, pr token or transaction_id. Raises ``ORDER_NOT_EXIST``."""
        return self._known(self.orders.get(self._by_token.get(token, "")))

    def orders_named(self, out_trade_no: str) -> list[Order]:
        """Return the orders with this number at any merchant."""
        found = (self.orders.get(f"{merchant.mchid}/{out_trade_no}") for merchant in self.merchants)
        return [order for order in found if order is not None]

    def pay(self, order: Order, *, now: datetime) -> Order:
        """Let the payer pay. Raises ``ORDERPAID``, ``ORDER_CLOSED``, ``INVALID_REQUEST`` when it has expired."""
        if order.trade_state != "USERPAYING":
            _still_open(order)
        moment = self.business_time(now)
        if order.time_expire is not None and moment > order.time_expire:
            raise WireError(400, "INVALID_REQUEST", "订单已过支付截止时间")
        paid = replace(
            order,
            trade_state="SUCCESS",
            transaction_id=f"42000{moment.astimezone(BEIJING):%Y%m%d}{secrets.randbelow(10**15):015d}",
            paid_at=moment,
            openid=order.openid or f"oSim{secrets.token_hex(12)}",
        )
        self._save(paid)
        if paid.notify_url:
            event = ("TRANSACTION.SUCCESS", "transaction", "支付成功")
            self.notify(paid.mchid, paid.notify_url, event, paid.answer(), now)
        return paid

    def close(self, mchid: str, out_trade_no: str) -> Order:
        """Close an unpaid order; again is no error. Raises ``ORDERPAID``, ``ORDER_NOT_EXIST``."""
        order = self.order(mchid, out_trade_no)
        if order.trade_state == "CLOSED":
            return order
        if order.trade_type == "MICROPAY":
            raise WireError(400, "INVALID_REQUEST", "付款码支付的订单请使用撤销接口")
        _still_open(order)
        closed = replace(order, trade_state="CLOSED")
        self._save(closed)
        return closed

    def refund(self, merchant: Merchant, request: PlaceRefund, *, now: datetime) -> Refund:
        """Accept a refund; the same request again returns the same refund. Money arrives later."""
        digest = _digest("REFUND", request)
        known = self.refunds.get(f"{merchant.mchid}/{request.out_refund_no}")
        if known is not None:
            if known.digest != digest:
                raise WireError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
            return known
        order = self._refundable(merchant, request)
        refund = Refund(
            mchid=merchant.mchid,
            out_refund_no=request.out_refund_no,
            refund_id=f"50300{self.business_time(now).astimezone(BEIJING):%Y%m%d}{secrets.randbelow(10**15):015d}",
            out_trade_no=order.out_trade_no,
            transaction_id=order.transaction_id,
            refund_fen=request.amount.refund,
            total_fen=request.amount.total,
            reason=request.reason,
            notify_url=request.notify_url or "",
            digest=digest,
            created_at=self.business_time(now),
            settles_at=now + timedelta(seconds=self.conditions.refund_settles_s),
            settles_as="ABNORMAL" if self.faults.strikes("refund_abnormal") else "SUCCESS",
        )
        self.refunds.put(refund.key, refund)
        self._refunds_of.setdefault(order.key, []).append(refund.key)
        self.settling.add(refund.key)
        self._save(replace(order, trade_state="REFUND"))
        self.wake.set()
        return refund

    def refund_named(self, mchid: str, out_refund_no: str) -> Refund:
        """Return a refund. Raises ``RESOURCE_NOT_EXISTS``."""
        refund = self.refunds.get(f"{mchid}/{out_refund_no}")
        if refund is None:
            raise WireError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return refund

    def settle(self, refund: Refund, status: str, *, now: datetime) -> Refund:
        """Bring a refund to ``SUCCESS``, ``ABNORMAL`` or ``CLOSED`` and tell the merchant."""
        success_at = self.business_time(now) if status == "SUCCESS" else None
        settled = replace(refund, status=status, success_at=success_at)
        self.refunds.put(settled.key, settled)
        self.settling.discard(settled.key)
        if settled.notify_url:
            event = (f"REFUND.{status}", "refund", f"退款{'成功' if status == 'SUCCESS' else '异常'}")
            self.notify(settled.mchid, settled.notify_url, event, settled.notice(), now)
        return settled

    def settle_due(self, *, now: datetime) -> None:
        """Settle every refund whose time has come."""
        for key in list(self.settling):
            refund = self.refunds.get(key)
            if refund is not None and refund.settles_at <= now:
                self.settle(refund, refund.settles_as, now=now)

    def notify(
        self, mchid: str, url: str, event: tuple[str, str, str], resource: dict[str, Any], now: datetime
    ) -> None:
        """Queue a notice; ``event`` is its type, the original type of its resource, and its summary."""
        dropped = self.faults.strikes("drop_notices", url)
        notice = Notice(
            notice_id=str(secrets.token_hex(16)),
            mchid=mchid,
            url=url,
            event_type=event[0],
            original_type=event[1],
            summary=event[2],
            resource=msgspec.json.encode(resource).decode(),
            created_at=self.business_time(now),
            due_at=now,
            state="dropped" if dropped else "pending",
        )
        self.save_notice(notice)

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and keep the list of those still to be sent."""
        self.notices.put(notice.notice_id, notice)
        if notice.state == "pending":
            self.pending.add(notice.notice_id)
            self.wake.set()
        else:
            self.pending.discard(notice.notice_id)

    def refunds_of(self, order: Order) -> list[Refund]:
        """Return an order's refunds, in the order in which they were asked for."""
        found = (self.refunds.get(name) for name in self._refunds_of.get(order.key, ()))
        return [refund for refund in found if refund is not None]

    def _refundable(self, merchant: Merchant, request: PlaceRefund) -> Order:
        key = f"{merchant.mchid}/{request.out_trade_no}"
        order = self.orders.get(self._by_token.get(request.transaction_id, "") if request.transaction_id else key)
        if order is None or order.mchid != merchant.mchid:
            raise WireError(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        if order.trade_state not in ("SUCCESS", "REFUND"):
            raise WireError(400, "INVALID_REQUEST", "订单未支付，不能退款")
        if request.amount.total != order.total_fen:
            raise WireError(400, "INVALID_REQUEST", "订单金额与原订单不一致")
        earlier = self.refunds_of(order)
        taken_fen = sum(refund.refund_fen for refund in earlier if refund.status != "CLOSED")
        if taken_fen + request.amount.refund > order.total_fen:
            raise WireError(400, "INVALID_REQUEST", "累计退款金额大于支付金额")
        if len(earlier) >= REFUNDS_MAX:
            raise WireError(400, "INVALID_REQUEST", "部分退款次数超过 50 次")
        if self.faults.strikes("not_enough"):
            raise WireError(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        return order

    def _save(self, order: Order) -> None:
        self.orders.put(order.key, order)
        self._index(order)

    def _index(self, order: Order) -> None:
        for token in (order.prepay_id, order.pr, order.transaction_id):
            if token:
                self._by_token[token] = order.key

    @staticmethod
    def _known(order: Order | None) -> Order:
        if order is None:
            raise WireError(404, "ORDER_NOT_EXIST", "订单不存在")
        return order


def _still_open(order: Order) -> None:
    if order.trade_state == "CLOSED":
        raise WireError(400, "ORDER_CLOSED", "订单已关闭")
    if order.trade_state != "NOTPAY":
        raise WireError(400, "ORDERPAID", "该订单已支付")


def _digest(kind: str, request: msgspec.Struct) -> str:
    return hashlib.sha256(kind.encode() + msgspec.json.encode(request, order="sorted")).hexdigest()
