"""Cursors of a search: where a page ended, sealed, bound to the query and to who asked."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

import msgspec

from yimatong.crypto.errors import SealBroken
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.sealing import Sealer
from yimatong.empi.errors import CursorInvalid
from yimatong.empi.search.schemas import PersonQuery


class Place(NamedTuple):
    """The last person of a page: her rank and her id in hex."""

    rank: float
    mpi: str


_decoder = msgspec.json.Decoder(Place)


def write(sealer: Sealer, query: PersonQuery, holder: str, place: tuple[float, str]) -> str:
    """Return the cursor behind a place."""
    sealed = sealer.seal(msgspec.json.encode(place), _aad(query, holder))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def read(sealer: Sealer, query: PersonQuery, holder: str) -> Place | None:
    """Return the place that a query's cursor stands for; None on the first page.

    Raises:
        CursorInvalid: it was not given for this query to this caller.
    """
    if not query.cursor:
        return None
    try:
        blob = base64.b64decode(query.cursor + "=" * (-len(query.cursor) % 4), altchars=b"-_", validate=True)
        return _decoder.decode(sealer.unseal(blob, _aad(query, holder)))
    except (binascii.Error, ValueError, SealBroken, msgspec.DecodeError) as error:
        raise CursorInvalid from error


def _aad(query: PersonQuery, holder: str) -> bytes:
    """Bind a cursor to everything of its query but the cursor itself and the size of a page."""
    asked = msgspec.structs.replace(query, cursor="", limit=1)
    return b"search-cursor:" + holder.encode() + b":" + sm3(msgspec.json.encode(asked))
