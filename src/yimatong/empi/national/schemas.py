"""What is said to the national index, and what it says."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, Protocol

import msgspec

Action = Literal["add", "revise", "resolve"]
NoticeKind = Literal["duplicates_found", "merged", "distributed"]
State = Literal["due", "sent", "acknowledged", "refused", "unknown"]


class NationalPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A person as messages name her. ``ref``: ours; texts are empty and dates None where nothing is known.

    Sex by GB/T 2261.1, marital status GB/T 2261.2, nationality GB/T 3304, certificate type WS 364.3 CV02.01.101.
    """

    ref: str
    name: str
    sex: str = "0"
    birth_date: date | None = None
    id_type: str = ""
    id_number: str = ""
    phone: str = ""
    address: str = ""
    nation: str = ""
    marital: str = ""
    active: bool = True
    deceased_on: date | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the national index made of a message: its number of the person, or the code under which it refused."""

    message_id: str
    accepted: bool
    national_id: str = ""
    reason: str = ""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice: whom it is about by our references and the national number, and what is said of her.

    ``others``: further references of ours that are the same person (or may be); empty where the other one is not ours.
    """

    notice_id: str
    seq: int
    kind: NoticeKind
    said_at: datetime
    national_id: str
    refs: tuple[str, ...]
    others: tuple[str, ...] = ()
    person: NationalPerson | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Notices in the order of the mailbox; ``last``: acknowledge up to here."""

    notices: tuple[Notice, ...]
    last: int


class National(Protocol):
    """The national index as the platform calls it; never inside a transaction."""

    async def call(self, action: str, message: str) -> str:
        """Send a message and return the answer's text.

        Raises:
            PartyUnreachable, NationalNotTaking, NationalRefusesUs: nothing was done there.
            PartyOutcomeUnknown: it may have acted; ask again with the same message.
        """
        ...


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Under which names both sides talk: our sender id, and the object identifiers of both domains of numbers."""

    sender_id: str
    own_root: str
    national_root: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How the exchange stands. ``acknowledged`` counts the last 24 hours; ``waiting``: notices not done yet."""

    due: int
    sent: int
    unknown: int
    refused: int
    acknowledged: int
    oldest_due: datetime | None
    waiting: int
    stuck: int


class RefusedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the ledger that the national index refused, and why."""

    item_id: str
    action: str
    reason: str
    settled_at: datetime
    attempts: int


class StuckNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that could not be done: ``refused`` for a reason that will not go away, ``parked`` after many tries."""

    notice_id: str
    kind: str
    state: str
    outcome: str
    received_at: datetime
