"""Simulated real-name checks (实名核验): police register, bank, insurer, each with its own question. Nothing is kept.

``POST /realname/check`` compares name and number (police), ``/bank/check`` also a card number and its phone (四要素),
``/insurer/check`` also the number of an insurance card. They answer ``match`` and ``trace_no``. Their rules:

1. a name that contains 假 never matches;
2. a resident id number (``id_type`` 01) with a wrong check character (GB 11643) never matches;
3. a name that contains 停 makes the service answer 503, 忙 429, and one that contains 慢 makes it wait five seconds;
4. a bank card or insurance card that the bank or the insurer knows matches its holder only (and a bank card its phone);
5. everything else matches.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from yimatong.sandbox import bank, insurer
from yimatong.sandbox.signed import PartyError, Wire, parties
from yimatong.standards.errors import IdNumberShape
from yimatong.standards.id_number import check_digit, normalise

RESIDENT_ID = "01"
SLOW_S = 5.0


class PoliceQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose name and number are to be compared."""

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$")]
    id_number: Annotated[str, Meta(min_length=1, max_length=40)]


class BankQuestion(PoliceQuestion, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The four elements."""

    card_number: Annotated[str, Meta(pattern="^[0-9]{12,19}(?!\\n)$")]
    phone: Annotated[str, Meta(min_length=5, max_length=20)]


class InsurerQuestion(PoliceQuestion, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Name, number and insurance card."""

    card_number: Annotated[str, Meta(pattern="^[0-9A-Z]{8,20}(?!\\n)$")]


class Compared(msgspec.Struct, frozen=True):
    """The answer: whether everything belongs together, and the number under which it was answered."""

    match: bool
    trace_no: str


def matches(question: PoliceQuestion) -> bool:
    """Apply rules 1, 2 and 5."""
    if "假" in question.name:
        return False
    if question.id_type != RESIDENT_ID:
        return True
    number = normalise(question.id_number)
    try:
        return number[17:] == check_digit(number[:17])
    except IdNumberShape:
        return False


async def _moods(name: str) -> None:
    """Apply rule 3."""
    if "停" in name:
        raise PartyError(503, "service is down")
    if "忙" in name:
        raise PartyError(429, "too many requests", {"Retry-After": "30"})
    if "慢" in name:
        await asyncio.sleep(SLOW_S)


def _compared(match: bool) -> Compared:  # noqa: FBT001 -- its only field
    return Compared(match=match, trace_no=f"RN{secrets.token_hex(12)}")


@post("/realname/check", status_code=200)
async def police_check(request: Wire) -> Response[bytes]:
    """Compare a name with a number."""
    question, nonce = await parties(request).receive("police", request, PoliceQuestion)
    await _moods(question.name)
    return parties(request).answer("police", nonce, _compared(matches(question)))


@post("/bank/check", status_code=200)
async def bank_check(request: Wire) -> Response[bytes]:
    """Compare the four elements."""
    question, nonce = await parties(request).receive("bank", request, BankQuestion)
    await _moods(question.name)
    own = bank.of(request).holds(
        question.card_number, name=question.name, id_number=question.id_number, phone=question.phone
    )
    return parties(request).answer("bank", nonce, _compared(own and matches(question)))


@post("/insurer/check", status_code=200)
async def insurer_check(request: Wire) -> Response[bytes]:
    """Compare name, number and insurance card."""
    question, nonce = await parties(request).receive("insurer", request, InsurerQuestion)
    await _moods(question.name)
    own = insurer.of(request).holds(question.card_number, name=question.name, id_number=question.id_number)
    return parties(request).answer("insurer", nonce, _compared(own and matches(question)))


HANDLERS: list[HTTPRouteHandler] = [police_check, bank_check, insurer_check]
