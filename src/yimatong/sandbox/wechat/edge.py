"""What every call of a merchant goes through: verified before it acts, made durable, signed; the wire's faults strike.

The key that signs an answer is the one that the request names in ``Wechatpay-Serial``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response

from yimatong.kit import clock
from yimatong.sandbox.wechat import keys
from yimatong.sandbox.wechat.rows import Merchant, WireError
from yimatong.sandbox.wechat.state import WeChat

JSON = "application/json; charset=utf-8"
_GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
Wire = Request[Any, Any, Any]


class Call(NamedTuple):
    """A verified request."""

    wechat: WeChat
    merchant: Merchant
    request: Wire
    body: bytes
    now: datetime

    @property
    def base(self) -> str:
        """Return the base URL by which the merchant reached us."""
        return str(self.request.base_url).rstrip("/")

    def asked(self, name: str) -> str:
        """Return a query parameter, or an empty text."""
        return str(self.request.query_params.get(name, ""))


class Reply(NamedTuple):
    """An answer before it is signed."""

    status: int
    content: Any = None


async def answer(
    request: Wire, act: Callable[[Call], Reply | Awaitable[Reply]], *, by_certificate: bool = False
) -> Response[bytes]:
    """Verify, act, make durable, sign; the faults of the wire strike here.

    ``by_certificate``: a request that names no key is answered under the newest certificate.
    """
    wechat: WeChat = request.app.state.wechat
    faults, url = wechat.faults, address(request)
    if faults.delay_s and faults.path in url:
        await asyncio.sleep(faults.delay_s)
    if faults.strikes("answer_5xx", url):
        return Response(_GARBAGE, status_code=502, media_type="text/html")
    try:
        call = await verified(wechat, request, url)
        outcome = act(call)
        reply = outcome if isinstance(outcome, Reply) else await outcome
    except WireError as error:
        reply = Reply(error.status, {"code": error.code, "message": error.message})
    await wechat.store.flush()
    if faults.strikes("timeout_after_acting", url):
        await asyncio.sleep(faults.hang_s)
        return Response(_GARBAGE, status_code=504, media_type="text/html")
    body = b"" if reply.content is None else msgspec.json.encode(reply.content)
    headers: dict[str, str] = {"Request-ID": secrets.token_hex(16)}
    if not faults.strikes("unsigned_answers", url):
        broken = faults.strikes("wrong_signatures", url)
        moment, asked = wechat.wire_time(clock.now()), request.headers.get("Wechatpay-Serial", "")
        signer = wechat.signers.for_list(moment=moment) if not asked and by_certificate else wechat.signers.named(asked)
        headers |= signer.headers(body, moment=moment, broken=broken)
    return Response(body, status_code=reply.status, media_type=JSON, headers=headers)


def address(request: Wire) -> str:
    """Return path and query as they came: what the merchant signed."""
    path = request.scope["raw_path"].decode("ascii")
    query = request.scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path


async def verified(wechat: WeChat, request: Wire, url: str) -> Call:
    """Check the merchant's signature, then its pace. Raises ``SIGN_ERROR``, ``FREQUENCY_LIMITED``."""
    parts = keys.claimed(request.headers.get("Authorization", ""))
    merchant = wechat.merchants.get(parts["mchid"])
    if merchant is None or merchant.serial_no != parts["serial_no"]:
        raise WireError(401, "SIGN_ERROR", "商户号或商户证书序列号不存在")
    now, body = clock.now(), await request.body()
    keys.verify(
        parts,
        public_key_pem=merchant.public_key_pem,
        method=str(request.method),
        url=url,
        body=body,
        moment=wechat.wire_time(now),
    )
    if wechat.faults.strikes("frequency_limited", url):
        raise WireError(429, "FREQUENCY_LIMITED", "请求过于频繁，请降低频率后重试")
    return Call(wechat, merchant, request, body, now)


def own(call: Call, mchid: str) -> None:
    """Refuse a merchant number that is not the signer's. Raises ``PARAM_ERROR``."""
    if mchid != call.merchant.mchid:
        raise WireError(400, "PARAM_ERROR", "mchid 与签名的商户号不一致")
