"""The port of whoever issues electronic receipts, and the adapter of the protocol in docs/spec/receipts.md.

医疗电子票据 are made by the finance departments' e-bill platforms (财政电子票据管理平台). Their interface is given
to hospitals by the province under contract; no public national one is known to us, so the wire is our own, signed JSON
as for credit payment, and a province's own platform is adapted behind this Protocol.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.signed import signing
from yimatong.payments.errors import ChannelBusy, ChannelRefused
from yimatong.payments.receipts.schemas import Stay

PARTY: Final = "财政电子票据平台 (finance e-bill platform)"
_OK: Final = 200
_REFUSALS: Final = frozenset({"BAD_REQUEST", "NO_ORIGINAL", "TOO_MUCH", "NUMBER_USED"})


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; ``amount_fen`` is the whole line, negative on a red receipt."""

    name: str
    quantity: int
    amount_fen: int


class ReceiptContent(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on a receipt beside its numbers. Personal data: stored sealed, never logged.

    ``paid_fen`` says who paid, by name (``fund_fen``, ``account_fen``, ``own_fen``, ``other_fen``), adding up to
    ``amount_fen``; a red receipt has everything negative.
    """

    kind: Literal["blue", "red"]
    form: Literal["outpatient", "inpatient"]
    institution_id: str
    institution_name: str
    payer: str
    insurance: str
    order_no: str
    request_no: str
    lines: tuple[ReceiptLine, ...]
    amount_fen: int
    paid_fen: Mapping[str, int]
    at: datetime
    original_code: str = ""
    original_no: str = ""
    stay: Stay | None = None
    """Of an inpatient receipt."""


class IssuedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a receipt: 票据代码, 票据号码, 校验码, when it was issued, and where anybody can check it."""

    receipt_code: str
    receipt_no: str
    check_code: str
    issued_at: datetime
    check_url: str


class ReceiptIssuer(Protocol):
    """Whoever issues receipts."""

    async def issue(self, content: ReceiptContent, *, now: datetime) -> IssuedReceipt:
        """Issue a receipt, once for each ``request_no``; asked again it gives the same one.

        Raises:
            ChannelRefused: not issued, and asking again will not change it.
            ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: ask again.
        """
        ...


class _Receipt(msgspec.Struct, frozen=True, kw_only=True):
    request_no: str
    institution_id: str
    amount_fen: int
    receipt_code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8,12}(?!\n)$")]
    receipt_no: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8,20}(?!\n)$")]
    check_code: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{6,20}(?!\n)$")]
    issued_at: datetime
    check_url: Annotated[str, msgspec.Meta(max_length=300, pattern=r"^https?://[!-~]+(?!\n)$")]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer: ``code`` is OK or says why not."""

    code: str
    message: str = ""
    receipt: _Receipt | None = None


class Garbled(Exception):
    """A signed answer that does not have the published shape, or is about another receipt."""


def encode(content: ReceiptContent) -> dict[str, Any]:
    """Return the question that asks for a receipt. Pure."""
    return {
        "institution_id": content.institution_id,
        "request_no": content.request_no,
        "order_no": content.order_no,
        "kind": content.kind,
        "form": content.form,
        "payer": content.payer,
        "insurance": content.insurance,
        "lines": [msgspec.structs.asdict(line) for line in content.lines],
        "amount_fen": content.amount_fen,
        "paid_fen": dict(content.paid_fen),
        "at": rfc3339(content.at),
        "original_code": content.original_code,
        "original_no": content.original_no,
    } | ({"stay": _stay(content.stay)} if content.stay else {})


def _stay(stay: Stay) -> dict[str, Any]:
    return {
        "admission_no": stay.admission_no,
        "department": stay.department,
        "admitted_at": rfc3339(stay.admitted_at),
        "settled_at": rfc3339(stay.settled_at),
        "prepaid_fen": stay.prepaid_fen,
        "due_fen": stay.due_fen,
        "back_fen": stay.back_fen,
    }


def decode(body: bytes, content: ReceiptContent) -> IssuedReceipt | Reply:
    """Return the receipt that an answer tells of, or the refusal. Pure. Raises ``Garbled``."""
    try:
        reply = msgspec.json.decode(body, type=Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(str(error)) from error
    if reply.code != "OK":
        return reply
    told = reply.receipt
    asked = (content.request_no, content.institution_id, content.amount_fen)
    if told is None or (told.request_no, told.institution_id, told.amount_fen) != asked:
        message = "the answer is about another receipt"
        raise Garbled(message)
    if told.issued_at.tzinfo is None:
        message = "a time without its offset"
        raise Garbled(message)
    return IssuedReceipt(
        receipt_code=told.receipt_code,
        receipt_no=told.receipt_no,
        check_code=told.check_code,
        issued_at=told.issued_at,
        check_url=told.check_url,
    )


class FinancePlatform:
    """The finance department's platform by our protocol; ``secret_hex`` signs questions and answers."""

    def __init__(self, outbound: Outbound, *, base_url: str, app_id: str, secret_hex: Secret) -> None:
        """Send by ``outbound`` to ``base_url``."""
        self._outbound = outbound
        self._base_url = base_url.rstrip("/")
        self._app_id = app_id
        self._secret = str.__str__(secret_hex)

    async def issue(self, content: ReceiptContent, *, now: datetime) -> IssuedReceipt:
        """Issue a receipt; see ``ReceiptIssuer``."""
        url, nonce, body = f"{self._base_url}/v1/receipts", secrets.token_hex(16), msgspec.json.encode(encode(content))
        headers = signing.request_headers(
            app_id=self._app_id, secret_hex=self._secret, path=urlsplit(url).path, body=body, now=now, nonce=nonce
        )
        answer = await self._outbound.send(PARTY, "POST", url, body=body, headers=headers)
        try:
            signing.verify_answer(
                answer.headers, answer.body, status=answer.status, nonce=nonce, secrets_hex=[self._secret]
            )
            found = decode(answer.body, content)
        except (signing.Unverified, Garbled) as error:
            raise PartyOutcomeUnknown(party=PARTY, audit=f"HTTP {answer.status}, {error}") from error
        if isinstance(found, IssuedReceipt) and answer.status == _OK:
            return found
        code = found.code if isinstance(found, Reply) else ""
        if code == "BUSY":
            raise ChannelBusy(audit="receipts")
        if code in _REFUSALS:
            raise ChannelRefused(channel_code=code, channel_message=found.message if isinstance(found, Reply) else "")
        raise PartyOutcomeUnknown(party=PARTY, audit=f"code {code[:40]}")
