"""Verbs of the upload (上传): note what is due, say it, keep what was answered.

Every message is written down before it is sent and kept sealed until it is answered. One whose answer is missing is
asked again, the very same message under the same id; it is never taken for failed. Of a person one message is under way
at most, and what is said of her is read in the moment of sending: after an outage only her newest version is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import NationalItemNotRefused, NationalNoticeNotStuck
from yimatong.empi.events import queries as changes
from yimatong.empi.national import messages, numbers, statements
from yimatong.empi.national.schemas import Action, Answer, Names, NationalPerson
from yimatong.empi.persons import queries as persons
from yimatong.kit import alarms
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import Connection, RawConnection, raw
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id
from yimatong.standards.codes import NO_CERTIFICATE

READER: Final = "national"
"""The name of the exchange among the readers of changes."""

HOLDER: Final = "national"
"""Who the references of the national index are made for (``Vault.mpi_ref``), and the provider of what it says."""

NOT_SAID: Final = frozenset({"linked", "unlinked"})
"""Changes of numbers are not the national index's business."""

LEASE: Final = timedelta(minutes=2)
"""After this a message whose worker died is asked again; longer than every time-out of a call."""

PAUSE_MAX: Final = timedelta(minutes=5)
_SURVIVOR_FIRST: Final = timedelta(seconds=30)
_PATIENCE: Final = timedelta(hours=1)
"""So long one waits for the other after a merge that was undone: what she has to say may be refused."""
BEHIND: Final = timedelta(hours=1)
ALARM: Final = "national-behind"
UNREADABLE: Final = "national-unreadable"

_encoder = msgspec.json.Encoder(order="deterministic")


class Claimed(NamedTuple):
    """A message to be sent. ``again``: it was sent before, and its outcome is unknown."""

    item_id: str
    mpi: UUID
    action: Action
    message_id: str
    message: str
    attempts: int
    again: bool


class _Said(NamedTuple):
    item_id: str
    action: Action
    survivor: UUID | None
    version: int
    message_id: str
    message: str
    digest: bytes


class _Person(NamedTuple):
    """A person's row, and the last message of hers that was acknowledged (``last``, with its digest)."""

    mpi: UUID
    current_mpi: UUID | None
    sealed: bytes
    sex: str
    birth_date: date | None
    state: str
    deceased_on: date | None
    version: int
    from_there: bool
    last: str | None
    digest: bytes | None
    survivor_speaks: bool

    @property
    def is_there(self) -> bool:
        """Whether the national index knows her by our reference, as a person of her own."""
        return self.last in ("add", "revise")

    @property
    def nothing_to_say(self) -> bool:
        """Whether she was never told and need not be: retired, or nobody but the national index speaks of her."""
        return not self.is_there and (self.current_mpi is not None or self.from_there)

    @property
    def has_left(self) -> bool:
        """Whether she stands for herself again while the person whom she was put into is still told with her facts."""
        return self.current_mpi is None and self.last == "resolve" and self.survivor_speaks


async def note_changes(connection: Connection, *, limit: int, now: datetime) -> int:
    """Note who is due by the next changes, and move the cursor, in one transaction; return how many changes."""
    inside = await raw(connection)
    place = await changes.take(inside, READER, now=now)
    if place is None:
        return 0
    some = await changes.after(inside, place, limit=limit)
    if not some:
        return 0
    due: dict[UUID, int] = {}
    for each in some:
        if each.kind not in NOT_SAID:
            due[each.mpi] = max(each.version, due.get(each.mpi, 0))
    await note(inside, list(due.items()), now=now)
    await changes.move(inside, READER, some[-1].place, now=now)
    return len(some)


async def note_everybody(connection: Connection, *, limit: int, now: datetime) -> int:
    """Note a page of all persons, once, for an index that is older than the exchange; return how many; 0: all are."""
    inside = await raw(connection)
    cursor: Any = await (await inside.execute(statements.CURSOR, ("everybody", now))).fetchone()
    found: Sequence[Any] = await (
        await inside.execute(statements.EVERYBODY, (cursor[1] or UUID(int=0), limit))
    ).fetchall()
    if found and not cursor[0]:
        await note(inside, [(row[0], row[1]) for row in found], now=now)
        await inside.execute(statements.MOVE, (0, found[-1][0], len(found), now, "everybody"))
        return len(found)
    if not cursor[0]:  # its end is kept: who comes later is told by the changes
        await inside.execute(statements.MOVE, (1, cursor[1], 0, now, "everybody"))
    return 0


async def note(connection: RawConnection, due: Sequence[tuple[UUID, int]], *, now: datetime) -> None:
    """Enter persons, with their versions, as due; one who is due already stays so from when she was."""
    if due:
        mpis, versions = zip(*due, strict=True)
        columns = (texts(new_id("nat") for _ in due), plain(mpis), plain(versions))
        await connection.execute(statements.NOTE, (now, now, *columns))


async def claim(
    connection: Connection,
    vault: Vault,
    names: Names,
    *,
    sealer: Sealer,
    blinder: Blinder,
    limit: int,
    now: datetime,
) -> list[Claimed]:
    """Take messages to be sent, and write down that they are; what was sent before comes as it was."""
    inside = await raw(connection)
    rows: Sequence[Any] = await (await inside.execute(statements.CLAIM, (now, limit))).fetchall()
    again = [row for row in rows if row[3] != "due"]
    claimed = [
        Claimed(row[0], row[1], row[4], row[6], _opened(sealer, row[0], row[7]), row[8], again=True) for row in again
    ]
    if again:
        await inside.execute(statements.ASKED_AGAIN, (now + LEASE, [row[0] for row in again]))
    fresh = [row for row in rows if row[3] == "due"]
    if fresh:
        refer = await vault.referrer(HOLDER)
        said = await _say(connection, fresh, refer, names, sealer=sealer, blinder=blinder, now=now)
        whose = {row[0]: (row[1], row[8]) for row in fresh}
        claimed += [
            Claimed(
                each.item_id,
                whose[each.item_id][0],
                each.action,
                each.message_id,
                each.message,
                whose[each.item_id][1],
                again=False,
            )
            for each in said
        ]
    return claimed


async def _say(
    connection: Connection,
    rows: Sequence[Any],
    refer: Callable[[str], str],
    names: Names,
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> list[_Said]:
    """Write the messages of rows that are due; one that would say nothing new is dropped.

    After a merge that was undone the other person speaks first: told with both persons' facts, she would be taken for
    the one who is announced anew.
    """
    inside = await raw(connection)
    known = await _people(inside, [row[1] for row in rows])
    survivors = await _people(inside, [own.current_mpi for own in known.values() if own.current_mpi is not None])
    said: list[_Said] = []
    dropped: list[str] = []
    later: list[str] = []
    for item_id, mpi, *_, due_at in rows:
        own = known.get(mpi)
        if own is None or own.nothing_to_say:
            dropped.append(item_id)
            continue
        if own.has_left and now - due_at < _PATIENCE:
            later.append(item_id)
            continue
        about = own if own.current_mpi is None else survivors[own.current_mpi]
        if own.current_mpi is not None and not about.is_there:
            later.append(item_id)
            await note(inside, [(about.mpi, about.version)], now=now)
            continue
        try:
            made = _said(item_id, own, about, refer, names, sealer=sealer, blinder=blinder, now=now)
        except PlatformError as broken:
            later.append(item_id)
            await alarms.raise_alarm(connection, kind=UNREADABLE, subject=about.mpi.hex, detail=broken.code, now=now)
            continue
        if made.action == "revise" and made.digest == own.digest:
            dropped.append(item_id)
        else:
            said.append(made)
    if dropped:
        await inside.execute(statements.DROP, (dropped,))
    if later:
        await inside.execute(statements.POSTPONE, (now + _SURVIVOR_FIRST, later))
    if said:
        await _sent(inside, said, sealer=sealer, now=now)
    return said


def _said(
    item_id: str,
    own: _Person,
    about: _Person,
    refer: Callable[[str], str],
    names: Names,
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> _Said:
    replaced = refer(own.mpi.hex) if own.current_mpi is not None else ""
    action: Action = "resolve" if replaced else "revise" if own.is_there else "add"
    made = _person(sealer, about, refer(about.mpi.hex))
    digest = blinder.digest("national", _encoder.encode((made, replaced)))
    message_id = new_id("hl7")
    text = messages.message(action, made, names, message_id=message_id, now=now, replaced=replaced)
    return _Said(item_id, action, own.current_mpi, about.version, message_id, text, digest)


async def _sent(connection: RawConnection, said: Sequence[_Said], *, sealer: Sealer, now: datetime) -> None:
    columns = (
        texts(each.item_id for each in said),
        texts(each.action for each in said),
        plain(each.survivor for each in said),
        plain(each.version for each in said),
        texts(each.message_id for each in said),
        octets(sealer.seal(each.message.encode(), aad(each.item_id)) for each in said),
        octets(each.digest for each in said),
    )
    await connection.execute(statements.SENT, (now, now + LEASE, *columns))


async def _people(connection: RawConnection, mpis: Sequence[UUID]) -> dict[UUID, _Person]:
    rows: Sequence[Any] = await (await connection.execute(statements.PEOPLE, (list(mpis),))).fetchall()
    return {row[0]: _Person._make((*row[:10], None if row[10] is None else bytes(row[10]), row[11])) for row in rows}


def _person(sealer: Sealer, about: _Person, ref: str) -> NationalPerson:
    """Return what is said of a person.

    Raises:
        SealBroken: her row was edited.
    """
    mpi, sealed, sex, birth_date = about.mpi, about.sealed, about.sex, about.birth_date
    state, deceased_on = about.state, about.deceased_on
    known = persons.unsealed(sealer, mpi, sealed, sex=sex, birth_date=birth_date, state=state, deceased_on=deceased_on)
    identified = known.id_type != NO_CERTIFICATE  # a number of the domain index means nothing outside
    return NationalPerson(
        ref=ref,
        name=str(known.name),
        sex=sex,
        birth_date=birth_date,
        id_type=known.id_type if identified else "",
        id_number=str(known.id_number) if identified else "",
        phone=str(known.phone),
        address=str(known.address),
        nation=known.nation,
        marital=known.marital,
        active=state != "cancelled",
        deceased_on=deceased_on,
    )


async def settle(
    connection: Connection, item: Claimed, answer: Answer, *, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    """Keep an answer, and the national number that it gives; one that is kept already changes nothing."""
    inside = await raw(connection)
    state = "acknowledged" if answer.accepted else "refused"
    blind = numbers.blind(blinder, answer.national_id) if answer.accepted else None
    values = (state, now, answer.reason, blind, item.item_id, item.message_id)
    if await (await inside.execute(statements.SETTLED, values)).fetchone() is None:
        return
    if answer.accepted:
        await numbers.keep(inside, item.mpi, answer.national_id, sealer=sealer, blinder=blinder, now=now)


async def not_sent(connection: Connection, item: Claimed, *, now: datetime) -> None:
    """Note that nothing reached the national index: it is due as before; what may have arrived earlier stays unknown.

    What is said of her is read again then.
    """
    if item.again:
        await unknown(connection, item, now=now)
        return
    inside = await raw(connection)
    values = (now + pause(item.attempts), item.item_id)
    if await (await inside.execute(statements.DUE_AGAIN, values)).fetchone() is None:
        await inside.execute(statements.OLDER, (item.item_id,))
        await inside.execute(statements.DROP_SENT, (item.item_id,))


async def unknown(connection: Connection, item: Claimed, *, now: datetime) -> None:
    """Note that the answer is missing: the same message is asked again after a pause."""
    inside = await raw(connection)
    await inside.execute(statements.UNKNOWN, (now + pause(item.attempts), item.item_id))


async def send_again(connection: Connection, item_id: str, *, now: datetime) -> None:
    """Send anew what the national index refused, after the cause was mended.

    Raises:
        NationalItemNotRefused: no such entry, or not refused.
    """
    inside = await raw(connection)
    row: Any = await (await inside.execute(statements.AGAIN, (item_id,))).fetchone()
    if row is None:
        raise NationalItemNotRefused
    await note(inside, [(row[0], row[1])], now=now)


async def take_up_notice(connection: Connection, notice_id: str, *, now: datetime) -> None:
    """Take a notice up again that was refused or parked.

    Raises:
        NationalNoticeNotStuck: no such notice, or it is not stuck.
    """
    inside = await raw(connection)
    if await (await inside.execute(statements.TAKE_UP, (now, notice_id))).fetchone() is None:
        raise NationalNoticeNotStuck


async def watch(connection: Connection, *, oldest_due: datetime | None, count: int, now: datetime) -> bool:
    """Raise the alarm when what waits longest has been waiting for more than an hour; say whether it was raised."""
    if oldest_due is None or now - oldest_due <= BEHIND:
        return False
    detail = f"{count} due since {oldest_due:%Y-%m-%d %H:%M} UTC"
    await alarms.raise_alarm(connection, kind=ALARM, subject="national", detail=detail, now=now)
    return True


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many tries: two seconds, doubled each time, five minutes at most."""
    return min(timedelta(seconds=2 * 2 ** min(attempts, 10)), PAUSE_MAX)


def aad(item_id: str) -> bytes:
    """Bind a sealed message to its row."""
    return f"empi_national_item:{item_id}".encode()


def _opened(sealer: Sealer, item_id: str, sealed: bytes) -> str:
    return sealer.unseal(bytes(sealed), aad(item_id)).decode()
