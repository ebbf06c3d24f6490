"""实名核验: asking an outside register whether a name and a number belong together.

One port, one adapter a party; here the police register and banks are asked over the same thin JSON interface.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import msgspec

from yimatong.cards.errors import RealNameMismatch
from yimatong.empi.persons.schemas import Demographics
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Outbound

LEVELS: Final[dict[str, int]] = {"stated": 1, "bank_online": 2, "police_online": 2, "certificate_read": 3}
"""Strength of the proofs: a certificate read by a terminal before an outside check before a mere statement."""

ONLINE: Final = frozenset({"police_online", "bank_online"})
_HTTP_OK = 200


@runtime_checkable
class RealNameCheck(Protocol):
    """The port: whoever can say that a name and a number belong together."""

    async def check(self, resident: Demographics) -> None:
        """Return when they do. Raises ``RealNameMismatch``, ``PartyUnreachable``, ``PartyOutcomeUnknown``."""
        ...


class _Reply(msgspec.Struct, frozen=True):
    match: bool
    trace_no: str


class OnlineRealNameCheck:
    """Asks over HTTP: ``POST /check`` with name, id_type and id_number."""

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Keep the pool and the address."""
        self._outbound = outbound
        self._url = base_url + "/check"

    async def check(self, resident: Demographics) -> None:
        """Ask once; asking has no effect at the party, so a missing answer may simply be asked again."""
        body = {"name": resident.name, "id_type": resident.id_type, "id_number": resident.id_number}
        answer = await self._outbound.send(
            "real-name register",
            "POST",
            self._url,
            body=msgspec.json.encode(body),
            headers={"content-type": "application/json"},
        )
        if answer.status != _HTTP_OK:
            raise PartyOutcomeUnknown(party="real-name register", audit=f"status {answer.status}")
        try:
            reply = msgspec.json.decode(answer.body, type=_Reply)
        except msgspec.DecodeError as error:
            raise PartyOutcomeUnknown(party="real-name register", audit=repr(error)) from error
        if not reply.match:
            raise RealNameMismatch
