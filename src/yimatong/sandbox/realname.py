"""A simulated real-name check (实名核验), as police and bank services answer it. It keeps nothing about anybody.

``POST /realname/check`` with ``name``, ``id_type`` and ``id_number`` answers ``match`` and ``trace_no``. Its rules:

1. a name that contains 假 never matches;
2. a resident id number (``id_type`` 01) with a wrong check character (GB 11643) never matches;
3. a name that contains 停 makes the service answer 503, and one that contains 慢 makes it wait five seconds;
4. everything else matches.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta

from yimatong.standards.errors import IdNumberShape
from yimatong.standards.id_number import check_digit, normalise

RESIDENT_ID = "01"
SLOW_S = 5.0


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose name and number are to be compared."""

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$")]
    id_number: Annotated[str, Meta(min_length=1, max_length=30)]


def matches(question: Question) -> bool:
    """Apply rules 1, 2 and 4."""
    if "假" in question.name:
        return False
    if question.id_type != RESIDENT_ID:
        return True
    number = normalise(question.id_number)
    try:
        return number[17:] == check_digit(number[:17])
    except IdNumberShape:
        return False


@post("/realname/check", status_code=200)
async def check(data: JSONBody[Question]) -> Response[dict[str, Any]]:
    """Compare a name with a number."""
    if "停" in data.name:
        return Response({"message": "service is down"}, status_code=503)
    if "慢" in data.name:
        await asyncio.sleep(SLOW_S)
    return Response({"match": matches(data), "trace_no": f"RN{secrets.token_hex(12)}"})


HANDLERS: list[HTTPRouteHandler] = [check]
