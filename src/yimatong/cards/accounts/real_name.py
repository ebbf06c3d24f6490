"""实名核验: asking an outside party whether the facts that a resident states belong together.

One port, ``RealNameCheck``, over a registry of adapters by method: the police register compares name and number, a bank
name, number, card number and phone (四要素), the insurer name, number and insurance card number. The answer's trace
number goes into the real-name mark. Asking changes nothing at the party, so a missing answer may simply be asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

import msgspec

from yimatong.cards.accounts.schemas import RealNameProof
from yimatong.cards.errors import (
    PartyBusy,
    PartyNotConnected,
    PartyRefusesUs,
    RealNameMismatch,
    RealNameProofMissing,
    RealNameProofUnwanted,
)
from yimatong.cards.parties import Party
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.kit.errors import PlatformError
from yimatong.standards import bank_cards, insurance_cards, phones
from yimatong.standards.errors import BankCardChecksum, BankCardIssuerUnknown, BankCardShape, InsuranceCardShape

LEVELS: Final[dict[str, int]] = {
    "stated": 1,
    "bank_online": 2,
    "insurance_online": 2,
    "police_online": 2,
    "certificate_read": 3,
}
"""Strength of the proofs: a certificate read by a terminal before an outside check before a mere statement."""

NEEDS: Final[dict[str, frozenset[str]]] = {
    "bank_online": frozenset({"bank_card"}),
    "insurance_online": frozenset({"insurance_card"}),
}
TAKES: Final[dict[str, frozenset[str]]] = {
    "bank_online": frozenset({"bank_card", "bank_phone"}),
    "insurance_online": frozenset({"insurance_card"}),
}
REFUSALS: Final[tuple[type[PlatformError], ...]] = (
    RealNameProofMissing,
    RealNameProofUnwanted,
    PartyNotConnected,
    PartyBusy,
    PartyRefusesUs,
    BankCardShape,
    BankCardChecksum,
    BankCardIssuerUnknown,
    InsuranceCardShape,
)
"""What an operation with a real-name proof answers beside the mismatch and a silent party; for its description."""
ONLINE: Final = frozenset({"police_online", "bank_online", "insurance_online"})


@runtime_checkable
class RealNameCheck(Protocol):
    """The port: whoever can say that the facts of a resident belong together."""

    async def check(self, method: str, resident: Demographics, proof: RealNameProof, *, now: datetime) -> str:
        """Return the trace number of a match.

        Raises:
            RealNameMismatch: no match. PartyNotConnected, PartyBusy, PartyRefusesUs, PartyUnreachable: not asked.
            PartyOutcomeUnknown: no answer. BankCardShape, BankCardChecksum, BankCardIssuerUnknown, InsuranceCardShape.
        """
        ...


async def prove(
    check: RealNameCheck, method: str, resident: Demographics, proof: RealNameProof | None, *, now: datetime
) -> RealNameMark:
    """Prove a resident by ``method``, asking the outside party where it is an online one.

    Raises:
        RealNameProofMissing, RealNameProofUnwanted: the facts for this method. Others as ``RealNameCheck.check``.
    """
    given = proof or RealNameProof()
    require_facts(method, given)
    trace_no = await check.check(method, resident, given, now=now) if method in ONLINE else ""
    return RealNameMark(method=method, level=LEVELS[method], at=now, trace_no=trace_no)


def require_facts(method: str, proof: RealNameProof) -> None:
    """Check that exactly the facts that the method uses were given.

    Raises:
        RealNameProofMissing, RealNameProofUnwanted.
    """
    given = {name for name, value in msgspec.structs.asdict(proof).items() if value is not None}
    for name in sorted(NEEDS.get(method, frozenset()) - given):
        raise RealNameProofMissing(method=method, needed=name)
    for name in sorted(given - TAKES.get(method, frozenset())):
        raise RealNameProofUnwanted(method=method, given=name)


class _Reply(msgspec.Struct, frozen=True):
    match: bool
    trace_no: str


class OnlineRealNameCheck:
    """The registry: one party for each online method; the adapter is what it is asked."""

    def __init__(self, parties: Mapping[str, Party]) -> None:
        """Keep the parties by method."""
        self._parties = dict(parties)

    async def check(self, method: str, resident: Demographics, proof: RealNameProof, *, now: datetime) -> str:
        """Ask once; see the port."""
        question = _QUESTIONS[method](resident, proof)
        reply = await self._parties[method].ask("/check", question, _Reply, now=now)
        if not reply.match:
            raise RealNameMismatch
        return reply.trace_no


def _police(resident: Demographics, _proof: RealNameProof) -> dict[str, object]:
    return {"name": resident.name, "id_type": resident.id_type, "id_number": resident.id_number}


def _bank(resident: Demographics, proof: RealNameProof) -> dict[str, object]:
    number = bank_cards.normalise(proof.bank_card or "")
    bank_cards.issuer(number)
    return {
        **_police(resident, proof),
        "card_number": number,
        "phone": phones.normalise(proof.bank_phone or resident.phone),
    }


def _insurance(resident: Demographics, proof: RealNameProof) -> dict[str, object]:
    return {**_police(resident, proof), "card_number": insurance_cards.normalise(proof.insurance_card or "")}


_QUESTIONS: Final = {"police_online": _police, "bank_online": _bank, "insurance_online": _insurance}
