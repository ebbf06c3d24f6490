"""Notices that nobody genuine sent, or that say what is not so: every one of them must be refused."""

from __future__ import annotations

import secrets
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from _payments_cast import HOSPITALS, alipay_app, api_key, merchant_id, unionpay_id
from _payments_chance import Chance
from _payments_courier import Courier
from _payments_loop import VirtualLoop

from yimatong.kit.money import plain_yuan
from yimatong.sandbox.alipay.rows import Notice as AlipayNotice
from yimatong.sandbox.alipay.rows import Trade
from yimatong.sandbox.unionpay.rows import Transaction
from yimatong.sandbox.wechat.keys import seal
from yimatong.sandbox.wechat.rows import Notice, Order

_PROBE: Final = "WECHATPAY/SIGNTEST/"
Wire = tuple[dict[str, str], bytes]


class Forger:
    """Forges what a seed's parties could have sent."""

    def __init__(self, courier: Courier, parties: dict[str, Any], chance: Chance, loop: VirtualLoop) -> None:
        self._courier = courier
        self._wechat = parties["wechat"]
        self._alipay = parties["alipay"]
        self._unionpay = parties["unionpay"]
        self._chance = chance
        self._dice = chance.random
        self._loop = loop

    async def forge(self) -> None:
        """Deliver one notice that must be refused."""
        known = [list(self._wechat.books.orders), self._alipay.trades(), self._unionpay.payments()]
        known = [each for each in known if each]
        if not known:
            return
        fault = self._dice.choice((5, 5, 6, 7, 7, 7))
        self._chance.count(fault)
        about = self._dice.choice(self._dice.choice(known))
        if isinstance(about, Order):
            sent = self._of_wechat(about, fault)
        else:
            sent = self._of_alipay(about, fault) if isinstance(about, Trade) else self._of_unionpay(about, fault)
        if await self._courier.take(sent):
            self._courier.breaks.append((7, f"a notice with fault {fault} about {about} was taken"))

    def _of_wechat(self, order: Order, fault: int) -> tuple[str, str, dict[str, str], bytes]:
        hospital = next(each for each in HOSPITALS if merchant_id(each) == order.mchid)
        other = next(each for each in HOSPITALS if each != hospital)
        told = order.answer() | {
            "trade_state": "SUCCESS",
            "transaction_id": order.transaction_id or f"42000{secrets.randbelow(10**15):015d}",
            "success_time": "2026-03-11T00:00:01+08:00",
            "amount": {"total": order.total_fen, "currency": "CNY"},
        }
        if fault == 7:
            change = self._dice.choice(("amount", "less", "currency", "app", "number"))
            told |= {
                "amount": {"amount": {"total": order.total_fen + 1, "currency": "CNY"}},
                "less": {"amount": {"total": max(order.total_fen - 1, 0), "currency": "CNY"}},
                "currency": {"amount": {"total": order.total_fen, "currency": "USD"}},
                "app": {"appid": "wx0000000000000000"},
                "number": {"out_trade_no": order.out_trade_no[:-2] + "99"},
            }[change]
        account_id = f"wechat-{other if fault == 6 else hospital}"
        notice = Notice(
            notice_id=secrets.token_hex(16),
            mchid=order.mchid,
            url=f"http://core/notify/wechat/{account_id}",
            event_type="TRANSACTION.SUCCESS",
            original_type="transaction",
            summary="支付成功",
            resource=msgspec.json.encode(told).decode(),
            created_at=self._loop.moment(),
            due_at=self._loop.moment(),
        )
        headers, body = self._wechat.sealed(notice)
        if fault == 5:
            headers, body = self._wrongly(headers, body, notice, other)
        return "wechat", account_id, headers, body

    def _wrongly(self, headers: dict[str, str], body: bytes, notice: Notice, other: str) -> Wire:
        how = self._dice.choice(("probe", "body", "old", "key", "sealed"))
        if how == "probe":
            headers["wechatpay-signature"] = _PROBE + headers["wechatpay-signature"]
        elif how == "body":
            body = body.replace(b"TRANSACTION", b"TRANSACTIOM")
        elif how == "old":
            old = self._wechat.signers[notice.mchid].headers(body, moment=notice.created_at.replace(year=2025))
            headers = {name.lower(): each for name, each in old.items()}
        elif how == "key":
            headers["wechatpay-serial"] = "PUB_KEY_ID_0"
        else:
            sealed = seal(notice.resource, api_v3_key=api_key(other), associated_data="transaction")
            told = msgspec.json.decode(body) | {"resource": {"original_type": "transaction"} | sealed}
            body = msgspec.json.encode(told)
            wrong = self._wechat.signers[notice.mchid].headers(body, moment=self._loop.moment())
            headers = {name.lower(): each for name, each in wrong.items()}
        return headers, body

    def _of_alipay(self, trade: Trade, fault: int) -> tuple[str, str, dict[str, str], bytes]:
        hospital = next(each for each in HOSPITALS if alipay_app(each) == trade.app_id)
        other = next(each for each in HOSPITALS if each != hospital)
        facts = trade.notice() | {
            "trade_status": "TRADE_SUCCESS",
            "trade_no": trade.trade_no or f"2026031122001{secrets.randbelow(10**15):015d}",
            "gmt_payment": "2026-03-11 00:00:01",
        }
        if fault == 7:
            change = self._dice.choice(("amount", "less", "seller", "app", "number", "amount twice"))
            facts |= {
                "amount": {"total_amount": plain_yuan(trade.total_fen + 1)},
                "less": {"total_amount": plain_yuan(max(trade.total_fen - 1, 0))},
                "amount twice": {"total_amount": f"{plain_yuan(trade.total_fen)}0"},
                "seller": {"seller_id": "2088999999999999"},
                "app": {"app_id": "2021999999999999"},
                "number": {"out_trade_no": trade.out_trade_no[:-2] + "99"},
            }[change]
        account_id = f"alipay-{other if fault == 6 else hospital}"
        notice = AlipayNotice(
            notice_id=secrets.token_hex(17),
            app_id=trade.app_id,
            url=f"http://core/notify/alipay/{account_id}",
            facts=facts,
            created_at=self._loop.moment(),
            due_at=self._loop.moment(),
        )
        headers, body = self._alipay.sealed(notice)
        return "alipay", account_id, headers, self._spoilt(body, trade) if fault == 5 else body

    def _spoilt(self, body: bytes, trade: Trade) -> bytes:
        """Return the form with a signature that does not fit what it says."""
        told = dict(parse_qsl(body.decode(), keep_blank_values=True))
        how = self._dice.choice(("amount", "type", "none", "key", "twice"))
        if how == "amount":
            told["total_amount"] = f"9{told['total_amount']}"
        elif how == "type":
            told["sign_type"] = "RSA"
        elif how == "none":
            del told["sign"]
        elif how == "key":
            stranger = self._alipay.stranger_signs({**told, "buyer_id": "2088000000000000"})
            told = {**told, "buyer_id": "2088000000000000", "sign": stranger}
        else:
            return body + f"&total_amount={plain_yuan(trade.total_fen)}".encode()
        return urlencode(told).encode()

    def _of_unionpay(self, payment: Transaction, fault: int) -> tuple[str, str, dict[str, str], bytes]:
        hospital = next(each for each in HOSPITALS if unionpay_id(each) == payment.mer_id)
        other = next(each for each in HOSPITALS if each != hospital)
        changes = (
            {"txnAmt": str(payment.amount_fen + 1)},
            {"txnAmt": str(max(payment.amount_fen - 1, 0))},
            {"currencyCode": "840"},
            {"merId": unionpay_id(other)},
            {"orderId": payment.order_id[:-2] + "99"},
        )
        account_id = f"unionpay-{other if fault == 6 else hospital}"
        change = self._dice.choice(changes) if fault == 7 else {}
        notice = self._unionpay.forged(payment, change, f"http://core/notify/unionpay/{account_id}")
        headers, body = self._unionpay.sealed(notice)
        if fault == 5:
            told = dict(parse_qsl(body.decode(), keep_blank_values=True))
            how = self._dice.choice(("amount", "none", "method", "unnamed"))
            if how == "none":
                del told["signature"]
            else:
                told |= {
                    "amount": {"txnAmt": f"9{told['txnAmt']}"},
                    "method": {"signMethod": "11"},
                    "unnamed": {"respMsg": "SUCCESS"},
                }[how]
            body = urlencode(told).encode()
        return "unionpay", account_id, headers, body
