"""The simulated parties without their HTTP servers: the same books (``yimatong.sandbox``), answered in one process.

WeChat Pay; the parties of the signed JSON protocol stand in ``_payments_signed``. Every request is verified and every
answer signed, in the code of the simulators; only Litestar, the journal's file and the wall clock are left out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from _payments_cast import APP_ID, HOSPITALS, Cast, api_key, merchant_id
from _payments_chance import Chance
from _payments_loop import VirtualLoop
from _payments_network import Request

from yimatong.kit.http import Answer
from yimatong.payments.cashier.schemas import StartedAttempt
from yimatong.sandbox.store import Table
from yimatong.sandbox.wechat import keys
from yimatong.sandbox.wechat.notify import envelope
from yimatong.sandbox.wechat.requests import CloseOrder, PlaceByCode, PlaceOrder, PlaceRefund, ReverseOrder, parse
from yimatong.sandbox.wechat.rows import CodeRow, Notice, Refund, WireError
from yimatong.sandbox.wechat.rows import Merchant as WeChatMerchant
from yimatong.sandbox.wechat.state import WeChat

LAG_S: Final = 10.0
"""How long a query may show what was true before."""
NEVER_S: Final = 10.0**8
_TRADE_TYPES: Final = {"native": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI", "app": "APP"}
_TRANSACTIONS: Final = "/v3/pay/transactions/"
_REFUNDS: Final = "/v3/refund/domestic/refunds"


class NotPayable(Exception):
    """A channel does not let a payer pay; the text is its code."""


class Memory:
    """A store without a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def table(self, name: str, _row_type: type[Any]) -> Table[Any]:
        """Return an empty table."""
        return Table(self, name, {})  # type: ignore[arg-type]  # it needs put alone

    def put(self, _table: str, _key: str, _row: object) -> None:
        """Keep nothing: the tables are the memory."""


class Surroundings:
    """What the parties share: time, dice, and who delivers notices."""

    def __init__(self, loop: VirtualLoop, chance: Chance) -> None:
        self.loop = loop
        self.chance = chance
        self.deliver: Callable[[str, Any], None] = lambda _channel, _notice: None
        self.never_lost: set[str] = set()
        """Numbers of which nobody would ever ask again: their notices are late, never lost for good."""
        self.waiting: list[float] = []
        """When what is still to come is due."""

    def later(self, wait_s: float, act: Callable[..., None], *arguments: object) -> None:
        """Do something after ``wait_s``."""
        due = self.loop.time() + wait_s
        self.waiting.append(due)
        self.loop.call_at(due, self._now, due, act, arguments)

    def _now(self, due: float, act: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self.waiting.remove(due)
        act(*arguments)

    def settles_in(self) -> float:
        """Draw how long money takes, in seconds."""
        return self.chance.random.choice((0.5, 2, 15, 60, 240))


class _Books(WeChat):
    """WeChat Pay's books, which say when a notice is to be sent."""

    told: Callable[[Notice], None] | None = None

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and have it delivered."""
        super().save_notice(notice)
        if self.told is not None and notice.state == "pending":
            self.told(notice)


class WeChatParty:
    """WeChat Pay on the wire, and its payers."""

    name = "wechat"

    def __init__(self, cast: Cast, around: Surroundings) -> None:
        self.books = _Books(Memory(cast.folder))  # type: ignore[arg-type]
        self.books.told = lambda notice: around.deliver("wechat", notice)
        self._around = around
        self._platform_keys = cast.platform_keys
        self._keys = {key.key_id: key for key in cast.platform_keys}
        self._certificates = {pair.serial_no: pair.public_pem for pair in cast.pairs}
        for hospital in HOSPITALS:
            self.books.register(
                WeChatMerchant(
                    mchid=merchant_id(hospital),
                    appid=APP_ID,
                    serial_no=cast.pairs[0].serial_no,
                    public_key_pem=cast.pairs[0].public_pem,
                    api_v3_key=api_key(hospital),
                )
            )
        self.signers = {merchant_id(hospital): cast.platform_keys[0] for hospital in HOSPITALS}
        """Who signs a merchant's notices; answers are signed by the key that the request names."""
        self._after_all: set[str] = set()
        self.announced = b""
        self.sent = b""
        """The bill whose hash is announced, and what is sent for it."""

    def __call__(self, request: Request) -> Answer:
        """Verify, act, sign."""
        now, mchid = self._around.loop.moment(), ""
        try:
            merchant = self._verified(request)
            mchid = merchant.mchid
            status, content = self._act(request, merchant)
        except WireError as error:
            status, content = error.status, {"code": error.code, "message": error.message}
        body = content if isinstance(content, bytes) else b"" if content is None else msgspec.json.encode(content)
        signer = self._keys.get(request.headers.get("wechatpay-serial", "")) or self.signers[mchid]
        headers = {name.lower(): value for name, value in signer.headers(body, moment=now).items()}
        return Answer(status, headers, body)

    def _verified(self, request: Request) -> WeChatMerchant:
        parts = keys.claimed(request.headers.get("authorization", ""))
        merchant, public_pem = self.books.merchants.get(parts["mchid"]), self._certificates.get(parts["serial_no"])
        if merchant is None or public_pem is None:
            raise WireError(401, "SIGN_ERROR", "商户号或商户证书序列号不存在")
        keys.verify(
            parts,
            public_key_pem=public_pem,
            method=request.method,
            url=request.target,
            body=request.body,
            moment=self._around.loop.moment(),
        )
        return merchant

    def _act(self, request: Request, merchant: WeChatMerchant) -> tuple[int, Any]:
        path = urlsplit(request.target).path
        if path.startswith(f"{_TRANSACTIONS}out-trade-no/"):
            return self._of_order(request, merchant, path.removeprefix(f"{_TRANSACTIONS}out-trade-no/"))
        if path.startswith(_TRANSACTIONS):
            return 200, self._placed(path.removeprefix(_TRANSACTIONS), request.body, merchant)
        if path == _REFUNDS:
            return 200, self._refund(merchant, parse(request.body, PlaceRefund)).answer()
        if path.startswith(f"{_REFUNDS}/"):
            found = self.books.refund_named(merchant.mchid, path.removeprefix(f"{_REFUNDS}/"))
            if self._lags(found.created_at):
                raise WireError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
            return 200, found.answer()
        if path == "/v3/bill/tradebill":
            return self._bill_place(parse_qs(urlsplit(request.target).query)["bill_date"][0])
        if path == "/v3/billdownload/file":
            return 200, self.sent
        raise WireError(404, "NOT_FOUND", path)

    def _placed(self, kind: str, body: bytes, merchant: WeChatMerchant) -> dict[str, Any]:
        now = self._around.loop.moment()
        if kind == "codepay":
            return self.books.place_by_code(merchant, parse(body, PlaceByCode), now=now).answer()
        order = self.books.place(merchant, _TRADE_TYPES[kind], parse(body, PlaceOrder), now=now)
        return {
            "prepay_id": order.prepay_id,
            "code_url": f"weixin://wxpay/bizpayurl?pr={order.pr}",
            "h5_url": f"https://wx.test/h5pay?prepay_id={order.prepay_id}",
        }

    def _bill_place(self, day: str) -> tuple[int, Any]:
        if not self.announced:
            raise WireError(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        sha1 = hashlib.sha1(self.announced, usedforsecurity=False).hexdigest()
        url = f"http://wechat/v3/billdownload/file?token={day}"
        return 200, {"hash_type": "SHA1", "hash_value": sha1, "download_url": url}

    def _of_order(self, request: Request, merchant: WeChatMerchant, number: str) -> tuple[int, Any]:
        if number.endswith("/close"):
            parse(request.body, CloseOrder)
            self.books.close(merchant.mchid, number.removesuffix("/close"))
            return 204, None
        if number.endswith("/reverse"):
            parse(request.body, ReverseOrder)
            self.books.reverse(merchant.mchid, number.removesuffix("/reverse"))
            return 204, None
        order = self.books.order(merchant.mchid, number)
        if order.paid_at is not None and self._lags(order.paid_at):
            before = "USERPAYING" if order.trade_type == "MICROPAY" else "NOTPAY"
            before = "CLOSED" if order.key in self._after_all else before
            order = msgspec.structs.replace(order, trade_state=before, paid_at=None)
        elif self._lags(order.created_at):
            raise WireError(404, "ORDER_NOT_EXIST", "订单不存在")
        return 200, order.answer()

    def _lags(self, moment: Any) -> bool:
        return moment > self._around.loop.moment() - timedelta(seconds=LAG_S) and self._around.chance.strikes(15)

    def _refund(self, merchant: WeChatMerchant, asked: PlaceRefund) -> Refund:
        before = self.books.refunds.get(f"{merchant.mchid}/{asked.out_refund_no}")
        made = self.books.refund(merchant, asked, now=self._around.loop.moment())
        if before is None:
            odd = self._around.chance.strikes(17)
            ends = self._around.chance.random.choice(("ABNORMAL", "CLOSED", "SUCCESS")) if odd else "SUCCESS"
            wait_s = self._around.settles_in() * (30 if odd else 1)
            self._around.later(wait_s, self._end, made.key, ends)
        return made

    def _end(self, key: str, status: str) -> None:
        refund = self.books.refunds.get(key)
        if refund is None or refund.status in ("SUCCESS", "CLOSED"):
            return
        self._around.chance.note(f"{self._around.loop.time():.3f} wechat refund {refund.out_refund_no} {status}")
        if status == "ABNORMAL":
            self._around.never_lost.add(refund.out_refund_no)
        self.books.settle(refund, status, now=self._around.loop.moment())
        if status == "ABNORMAL" and self._around.chance.random.random() < 0.7:  # a person sees to it, days later
            ends = self._around.chance.random.choice(("SUCCESS", "SUCCESS", "CLOSED"))
            self._around.later(self._around.chance.random.uniform(3600, 200_000), self._end, key, ends)

    def sealed(self, notice: Notice) -> tuple[dict[str, str], bytes]:
        """Return a notice's headers (names in lower case) and body as they go over the wire now."""
        body = envelope(self.books, notice)
        headers = self.signers[notice.mchid].headers(body, moment=self._around.loop.moment())
        return {name.lower(): each for name, each in headers.items()}, body

    def change(self, hospital: str, _turn: int) -> None:
        """Sign notices with either key from now on: the platform knows both."""
        self.signers[merchant_id(hospital)] = self._around.chance.random.choice(self._platform_keys)

    def give(self, started: StartedAttempt) -> None:
        """Give a payer what the cashier shows: WeChat Pay knows of it already."""

    def code(self) -> str:
        """Let a payer open her payment code; what will come of it is drawn."""
        ends = self._around.chance.random.choice(("pays", "pays", "asks", "asks_refusing", "poor"))
        until = self._around.loop.moment() + timedelta(seconds=60)
        row = CodeRow(auth_code=f"13{secrets.randbelow(10**16):016d}", openid="oCode", ends=ends, expires_at=until)
        self.books.codes.put(row.auth_code, row)
        return row.auth_code

    def waiting(self) -> list[str]:
        """Return what a payer could pay now."""
        return self._in_state("NOTPAY") + self._in_state("USERPAYING")

    def closed(self) -> list[str]:
        """Return what can no longer be paid and never was."""
        return self._in_state("CLOSED")

    def paid(self) -> list[str]:
        """Return what was paid."""
        return [order.out_trade_no for order in self.books.orders if order.paid_at is not None]

    def _in_state(self, state: str) -> list[str]:
        return [order.out_trade_no for order in self.books.orders if order.trade_state == state]

    def pay(self, number: str) -> None:
        """Let the payer pay.

        Raises:
            NotPayable: WeChat Pay says no.
        """
        try:
            for order in self.books.orders_named(number):
                self.books.pay(order, now=self._around.loop.moment())
        except WireError as error:
            raise NotPayable(error.code) from error

    def pay_after_all(self, number: str) -> None:
        """Let the bank's word come late: an order that was closed was paid all the same."""
        order = self.books.orders_named(number)[0]
        self._around.never_lost.add(order.out_trade_no)
        self._after_all.add(order.key)
        opened = msgspec.structs.replace(order, trade_state="NOTPAY", time_expire=None)
        self.books.orders.put(opened.key, opened)
        self.books.pay(opened, now=self._around.loop.moment())
