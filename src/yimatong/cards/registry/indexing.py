"""What the card index (卡索引) of the person index is told.

Physical cards are told of in the transaction that changed them, electronic cards with the news of their accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.identifiers import media
from yimatong.empi.identifiers.media import Card
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, raw

STATUS: Final[Mapping[str, str]] = {
    "issued": "active",
    "lost": "lost",
    "replaced": "replaced",
    "cancelled": "cancelled",
}
"""State of a physical card -> status in the card index."""

ELECTRONIC: Final = "card:electronic"
"""The domain of electronic cards; the number is the VUID, the application domain that of the electronic card."""

_PLATFORM: Final = "platform"


def domain(card_type: str) -> str:
    """Return the domain of a physical card's number."""
    return f"card:{card_type}"


def electronic_id(blinder: Blinder, vuid: str) -> str:
    """Return the id of an electronic card in the card index."""
    return f"ecd_{blinder.number_blind(ELECTRONIC, vuid).hex()}"


def card(row: Row[Any], *, number: str, chip_number: str, mpi: UUID) -> Card:
    """Return a row of the registry as the card index takes it."""
    return Card(
        medium_id=row.card_id,
        kind=domain(row.card_type),
        number=number,
        mpi=mpi,
        provider=row.institution_id or _PLATFORM,
        issuer=row.issuer,
        status=STATUS[row.state],
        chip_number=chip_number,
        issued_on=business_date(row.issued_at),
        version=row.version,
    )


async def tell_cards(
    connection: Connection, cards: Sequence[Card], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    """Tell of cards that were entered."""
    await media.tell_many(await raw(connection), cards, sealer=sealer, blinder=blinder, now=now)


async def tell_states(connection: Connection, rows: Sequence[Row[Any]], *, now: datetime) -> None:
    """Tell of cards whose state changed."""
    changes = [(row.card_id, STATUS[row.state], row.version) for row in rows]
    await media.change_status(await raw(connection), changes, now=now)


async def tell_accounts(
    connection: Connection,
    told: Sequence[Mapping[str, Any]],
    *,
    version: int,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Tell of electronic cards, from what the accounts announced; registration itself does not wait for it."""
    cards = [
        Card(
            medium_id=electronic_id(blinder, each["vuid"]),
            kind=ELECTRONIC,
            number=each["vuid"],
            mpi=UUID(each["mpi"]),
            provider=_PLATFORM,
            issuer=_PLATFORM,
            status=each["state"],
            version=version,
        )
        for each in told
        if each["vuid"] is not None and each["state"] in ("active", "frozen", "cancelled")
    ]
    await media.tell_many(await raw(connection), cards, sealer=sealer, blinder=blinder, now=now)
