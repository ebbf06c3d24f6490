"""The outside of the payments benchmark: a bare WeChat Pay and the hospitals' systems, in one loop of one process.

Written from the published interface rules of API v3 (pay.weixin.qq.com: 签名生成, 签名验证, 证书和回调报文解密, Native
下单, 退款申请, 支付通知), and as cheap as can be: it stands for machines that are not ours. An answer of WeChat Pay is
signed over its time, its nonce and its body, so one signed answer serves for many placed orders; a notice and a refund
name their number and are signed one by one. RSA is counted: how often each side signs and verifies is known from the
protocol, what one operation costs is measured on the same machine (``rsa_costs``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections import Counter
from datetime import UTC, datetime
from typing import cast

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from yimatong.access import request_auth

SAMPLE = 50
"""Every so many requests of ours are checked by their signature."""
KEY_ID = "PUB_KEY_ID_BENCH"
_FRESH_S = 60.0
_QUERY = b"/v3/pay/transactions/out-trade-no/"
_TRADE_NO = "42000000000000{:014d}"


def new_key() -> tuple[rsa.RSAPrivateKey, str, str]:
    """Return an RSA-2048 key and both halves as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), public


def rsa_costs(key: rsa.RSAPrivateKey, *, times: int = 400) -> tuple[float, float]:
    """Return the seconds of processor time that one signature and one verification take here."""
    text = b"1700000000\n" + b"n" * 32 + b"\n" + b"x" * 600 + b"\n"
    began = time.process_time()
    for _ in range(times):
        signature = key.sign(text, padding.PKCS1v15(), SHA256())
    signing_s = (time.process_time() - began) / times
    public = key.public_key()
    began = time.process_time()
    for _ in range(times):
        public.verify(signature, text, padding.PKCS1v15(), SHA256())
    return signing_s, (time.process_time() - began) / times


class _Server(asyncio.Protocol):
    """One keep-alive connection that is served by ``answer(head, body)``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = int(header(head, b"content-length") or b"0")
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            answer = self._world.answer(head, body)
            if self._transport is not None:
                self._transport.write(answer)


def header(head: bytes, name: bytes) -> bytes:
    """Return a header of a request's head, empty when it is not there."""
    at = head.lower().find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    end = head.find(b"\r", at + 2)
    return head[at + len(name) + 3 : end if end >= 0 else len(head)].strip()


class World:
    """WeChat Pay and every hospital's system."""

    def __init__(self, *, merchant_key: rsa.RSAPrivateKey, webhook_secrets: dict[str, bytes]) -> None:
        """Know the merchants' public key and the secrets that webhooks are signed with, by caller."""
        self.key, _, self.public_pem = new_key()
        self.api_v3_key = secrets.token_hex(16)
        self._merchant = merchant_key.public_key()
        self._webhook_secrets = webhook_secrets
        self.port = 0
        self.placed: dict[str, tuple[int, str]] = {}
        """By attempt: fen, and where its notice goes."""
        self.queries = 0
        """How often the worker asked because a notice was slower than its patience."""
        self._accounts: dict[str, tuple[str, str]] = {}
        self._paid: dict[str, dict[str, object]] = {}
        self.refunds: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        """By order: how often its hospital was told that it is paid."""
        self.signatures = 0
        self.wrong = 0
        self._requests = 0
        self._trade = 0
        self._ready: tuple[float, bytes] = (0.0, b"")
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port of this machine."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Server(self), "127.0.0.1", 0, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Answer one request of ours."""
        self._requests += 1
        method, target, _ = head.split(b" ", 2)
        if target.startswith(b"/his/"):
            return self._take_webhook(head, target, body)
        if self._requests % SAMPLE == 0:
            self._check_merchant(head, method, target, body)
        if target.startswith(b"/v3/bill/tradebill"):  # reconciliation asks once after ten in the morning
            return self._signed(b'{"code":"NO_STATEMENT_EXIST","message":"no bill"}', status="400 Bad Request")
        if method == b"GET" and target.startswith(_QUERY):
            return self._query(target[len(_QUERY) :].partition(b"?")[0].decode())
        if target == b"/v3/pay/transactions/native":
            wanted = json.loads(body)
            self.placed[wanted["out_trade_no"]] = (wanted["amount"]["total"], wanted["notify_url"])
            self._accounts[wanted["out_trade_no"]] = (wanted["mchid"], wanted["appid"])
            return self._placed()
        if target == b"/v3/refund/domestic/refunds":
            return self._refund(json.loads(body))
        self.wrong += 1
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"

    def _placed(self) -> bytes:
        made, ready = self._ready
        if time.monotonic() - made > _FRESH_S:
            ready = self._signed(b'{"code_url":"weixin://wxpay/bizpayurl?pr=bench"}')
            self._ready = (time.monotonic(), ready)
        return ready

    def _query(self, attempt_no: str) -> bytes:
        self.queries += 1
        mchid, appid = self._accounts[attempt_no]
        unpaid = {"mchid": mchid, "appid": appid, "out_trade_no": attempt_no, "trade_state": "NOTPAY"}
        return self._signed(json.dumps(self._paid.get(attempt_no, unpaid)).encode())

    def _refund(self, wanted: dict[str, str]) -> bytes:
        number, amount = wanted["out_refund_no"], cast("dict[str, int]", wanted["amount"])
        self.refunds[number] += 1
        self._trade += 1
        return self._signed(
            json.dumps(
                {
                    "refund_id": f"50000000{self._trade:014d}",
                    "out_refund_no": number,
                    "out_trade_no": wanted["out_trade_no"],
                    "transaction_id": "",
                    "channel": "ORIGINAL",
                    "user_received_account": "零钱",
                    "create_time": _now(),
                    "success_time": _now(),
                    "status": "SUCCESS",
                    "amount": amount,
                }
            ).encode()
        )

    def _signed(self, body: bytes, *, status: str = "200 OK") -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._sign(body))
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        return head.encode() + body

    def _sign(self, body: bytes) -> list[tuple[str, str]]:
        at, nonce = str(int(time.time())), secrets.token_hex(16)
        self.signatures += 1
        signature = self.key.sign(f"{at}\n{nonce}\n".encode() + body + b"\n", padding.PKCS1v15(), SHA256())
        return [
            ("wechatpay-timestamp", at),
            ("wechatpay-nonce", nonce),
            ("wechatpay-serial", KEY_ID),
            ("wechatpay-signature", base64.b64encode(signature).decode()),
        ]

    def notice(self, attempt_no: str, *, host: str) -> bytes:
        """Return the signed notice that an attempt was paid, as a request to the place its order named."""
        fen, url = self.placed.pop(attempt_no)
        merchant_id, app_id = self._accounts[attempt_no]
        self._trade += 1
        plain: dict[str, object] = {
            "mchid": merchant_id,
            "appid": app_id,
            "out_trade_no": attempt_no,
            "transaction_id": _TRADE_NO.format(self._trade),
            "trade_type": "NATIVE",
            "trade_state": "SUCCESS",
            "success_time": _now(),
            "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
            "amount": {"total": fen, "payer_total": fen, "currency": "CNY", "payer_currency": "CNY"},
        }
        self._paid[attempt_no] = plain
        nonce = secrets.token_hex(6)
        sealed = AESGCM(self.api_v3_key.encode()).encrypt(nonce.encode(), json.dumps(plain).encode(), b"transaction")
        body = json.dumps(
            {
                "id": secrets.token_hex(16),
                "create_time": _now(),
                "event_type": "TRANSACTION.SUCCESS",
                "resource_type": "encrypt-resource",
                "summary": "支付成功",
                "resource": {
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": base64.b64encode(sealed).decode(),
                    "nonce": nonce,
                    "associated_data": "transaction",
                    "original_type": "transaction",
                },
            }
        ).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._sign(body))
        target = url[url.index("/", 8) :]
        head = f"POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{lines}"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def _take_webhook(self, head: bytes, target: bytes, body: bytes) -> bytes:
        event = json.loads(body)
        if event["event"] == "order_paid":
            self.told[event["order_no"]] += 1
        if self._requests % SAMPLE == 0:
            self._check_webhook(head, target, body)
        return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    def _check_webhook(self, head: bytes, target: bytes, body: bytes) -> None:
        given = request_auth.parse(header(head, b"authorization").decode())
        text = request_auth.request_text(
            method="POST",
            target=target.decode(),
            timestamp=given.timestamp,
            nonce=given.nonce,
            bound=header(head, b"idempotency-key").decode(),
            body=body,
        )
        if request_auth.sign(self._webhook_secrets[given.caller_id], text) != given.signature:
            self.wrong += 1

    def _check_merchant(self, head: bytes, method: bytes, target: bytes, body: bytes) -> None:
        """Verify our request's signature; raises ``InvalidSignature`` when it does not hold."""
        said = header(head, b"authorization").decode().partition(" ")[2]
        facts = {name: value.strip('"') for name, _, value in (each.partition("=") for each in said.split(","))}
        text = f"{method.decode()}\n{target.decode()}\n{facts['timestamp']}\n{facts['nonce_str']}\n{body.decode()}\n"
        signature = base64.b64decode(facts["signature"] + "=" * (-len(facts["signature"]) % 4))
        self._merchant.verify(signature, text.encode(), padding.PKCS1v15(), SHA256())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
