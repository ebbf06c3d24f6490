"""就诊卡: numbers of an institution's visit cards, entered and found many at once.

They are cross indexes like any other (``identifiers``), in the domain of the institution's visit cards of type 01; this
is the short way for those who know the institution only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import DomainSuspended
from yimatong.empi.identifiers import catalogue, queries, rules, service
from yimatong.empi.identifiers.service import Entered, NewNumber
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError


class NumberedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A visit card number and whose it is."""

    number: str
    mpi: UUID


def blind(blinder: Blinder, institution_id: str, number: str) -> bytes:
    """Return the 16-byte blind of a number within its institution."""
    code = catalogue.visit_cards(institution_id)
    return rules.blind(blinder, code, rules.normal(code, number))


async def require_open(connection: RawConnection, institution_id: str) -> None:
    """Refuse to work with an institution's visit cards while their domain is suspended.

    Raises:
        DomainSuspended: it is.
    """
    code = catalogue.visit_cards(institution_id)
    if (await queries.domains_of(connection, [code]))[code].state != "active":
        raise DomainSuspended(domain=code)


async def find_many(connection: RawConnection, institution_id: str, blinds: Sequence[bytes]) -> dict[int, UUID]:
    """Return the current person of each number that the institution has given out, by index."""
    code = catalogue.visit_cards(institution_id)
    return await queries.holders_of_blinds(connection, [(code, own) for own in blinds])


async def enter_many(
    connection: RawConnection,
    institution_id: str,
    cards: Sequence[NumberedPerson],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> list[Entered | PlatformError]:
    """Enter numbers; each is answered as ``identifiers.service.enter_many`` answers."""
    code = catalogue.visit_cards(institution_id)
    wanted = [NewNumber(code, card.number, card.mpi, institution_id) for card in cards]
    return await service.enter_many(connection, wanted, sealer=sealer, blinder=blinder, now=now, tell=True)
