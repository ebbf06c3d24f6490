"""What the national index tells us (查重、合并、分发): each notice done once, those of one person in their order.

A notice is entered by its id; what it causes happens in the transaction that marks it done. The national index
proposes, our own rules decide: nothing it says merges two persons past the cluster check, and nothing overwrites what
was proven here (``golden.survivorship``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder, comparable_id
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import RegistrationOverlapped
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.golden import service as golden
from yimatong.empi.identifiers import entering
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.identifiers.service import NewNumber
from yimatong.empi.merges import queries as merging
from yimatong.empi.merges import rules
from yimatong.empi.merges import service as merges
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.remaking import remake
from yimatong.empi.national import numbers, statements
from yimatong.empi.national.numbers import PROVIDER
from yimatong.empi.national.schemas import NationalPerson, Notice, Page
from yimatong.empi.national.service import HOLDER, pause
from yimatong.empi.registration import service as registration
from yimatong.empi.registration.checking import Provider, checked
from yimatong.empi.registration.schemas import PersonToRegister, Stated
from yimatong.kit import alarms
from yimatong.kit.db import Connection, raw
from yimatong.kit.errors import PlatformError, Refusal

MAILBOX: Final = "notices"
SOURCE: Final = "source:national"
"""The domain of the national index's own records: a national number is one source record."""

TRIES: Final = 10
ALARM: Final = "national-notice"

Outcome = Literal[
    "linked", "review", "known", "merged", "same", "contributed", "apart", "outdated", "unknown_person", "nothing"
]
_decoder = msgspec.json.Decoder(Notice)


class Done(NamedTuple):
    """What came of a notice: ``became`` is the id of the review, merge or contribution."""

    outcome: Outcome
    became: str = ""


async def place(connection: Connection, *, now: datetime) -> int:
    """Return up to which notice everything is in the inbox: what is asked for lies behind it."""
    inside = await raw(connection)
    row: Any = await (await inside.execute(statements.CURSOR, (MAILBOX, now))).fetchone()
    return int(row[0])


async def receive(
    connection: Connection, vault: Vault, page: Page, *, sealer: Sealer, blinder: Blinder, now: datetime
) -> int:
    """Enter a page of notices and move the cursor behind it, in one transaction; one that came before changes nothing.

    Asking for what lies behind the cursor is what acknowledges the page.
    """
    inside = await raw(connection)
    for each in page.notices:
        mpis = sorted({UUID(await vault.mpi_from_ref(HOLDER, ref)) for ref in (*each.refs, *each.others)})
        sealed = sealer.seal(msgspec.json.encode(each), aad(each.notice_id))
        subject = numbers.blind(blinder, each.national_id)
        values = (each.notice_id, each.seq, each.kind, mpis, subject, each.said_at, sealed, now, now)
        await inside.execute(statements.RECEIVE, values)
    await inside.execute(statements.MOVE, (page.last, None, len(page.notices), now, MAILBOX))
    return len(page.notices)


async def waiting(connection: Connection, *, limit: int, now: datetime) -> list[str]:
    """Return notices that may be done now: of one person the oldest."""
    inside = await raw(connection)
    rows: Any = await (await inside.execute(statements.WAITING, (now, limit))).fetchall()
    return [row[0] for row in rows]


async def apply(
    connection: Connection, vault: Vault, notice_id: str, *, sealer: Sealer, blinder: Blinder, now: datetime
) -> Done | None:
    """Do what a notice says and mark it done, in the open transaction; None: another worker has it, or it is done.

    Raises:
        PlatformError: it cannot be done now, or never (a Refusal); the transaction must not be committed.
    """
    inside = await raw(connection)
    row: Any = await (await inside.execute(statements.TAKE, (notice_id,))).fetchone()
    if row is None:
        return None
    notice = _decoder.decode(sealer.unseal(bytes(row[3]), aad(notice_id)))
    by = _By(connection, vault, sealer, blinder, now)
    done = await _done(by, notice, bytes(row[1]))
    await inside.execute(statements.DONE, ("done", done.outcome, done.became, now, "done", notice_id))
    return done


async def failed(connection: Connection, notice_id: str, error: PlatformError, *, now: datetime) -> None:
    """Keep why a notice could not be done: refused at once where that will not go away, parked after ten tries."""
    inside = await raw(connection)
    row: Any = await (await inside.execute(statements.TAKE, (notice_id,))).fetchone()
    if row is None:
        return
    attempts = row[4] + 1
    final = isinstance(error, Refusal) and not isinstance(error, RegistrationOverlapped)
    if final or attempts >= TRIES:
        state = "refused" if final else "parked"
        await inside.execute(statements.DONE, (state, error.code, "", now, state, notice_id))
        await alarms.raise_alarm(connection, kind=ALARM, subject=notice_id, detail=f"{state} {error.code}", now=now)
        return
    await inside.execute(statements.FAILED, (now + pause(attempts), error.code, notice_id))


def aad(notice_id: str) -> bytes:
    """Bind a sealed notice to its row."""
    return f"empi_national_inbox:{notice_id}".encode()


class _By(NamedTuple):
    connection: Connection
    vault: Vault
    sealer: Sealer
    blinder: Blinder
    now: datetime


async def _done(by: _By, notice: Notice, subject: bytes) -> Done:
    subjects = await _ours(by, notice.refs)
    others = await _ours(by, notice.others)
    if not subjects:
        return Done("unknown_person")
    pair = list(dict.fromkeys((*subjects, *others)))
    if notice.kind == "distributed":
        return await _distributed(by, notice, subject, subjects[0])
    if len(pair) > 1:
        found = _found if notice.kind == "duplicates_found" else _merged
        return await found(by, notice, pair[0], pair[1])
    if notice.others or len(notice.refs) > 1:
        await _keep(by, subjects[0], notice.national_id)
        return Done("same")  # both are one person here already
    review = await _keep(by, subjects[0], notice.national_id)
    return Done("review", review) if review else Done("linked")


async def _ours(by: _By, refs: tuple[str, ...]) -> list[UUID]:
    """Return the persons of today behind references of ours; what is no person of ours is left out."""
    mpis = [UUID(await by.vault.mpi_from_ref(HOLDER, ref)) for ref in refs]
    current = await merging.current_of(by.connection, mpis)
    return list(dict.fromkeys(current[mpi] for mpi in mpis if mpi in current))


async def _keep(by: _By, mpi: UUID, national_id: str) -> str:
    inside = await raw(by.connection)
    return await numbers.keep(inside, mpi, national_id, sealer=by.sealer, blinder=by.blinder, now=by.now)


async def _found(by: _By, notice: Notice, left: UUID, right: UUID) -> Done:
    """Two of ours may be one person (查重): a steward judges."""
    review = await numbers.ask(await raw(by.connection), left, right, because=notice.kind, now=by.now)
    return Done("review", review) if review else Done("known")


async def _merged(by: _By, notice: Notice, survivor: UUID, retired: UUID) -> Done:
    """Two of ours are one person there (合并): here, too, if both say the certificate and the cluster check passes."""
    groups = await merging.groups(by.connection, [survivor, retired])
    against = await merging.rejections(by.connection, groups[survivor].members, groups[retired].members)
    stands = rules.conflicts(groups[survivor], groups[retired], against)
    if stands or not await _one_certificate(by, notice.person, survivor, retired):
        because = stands[0] if stands else "no_common_certificate"
        review = await numbers.ask(await raw(by.connection), survivor, retired, because=because, now=by.now)
        return Done("review", review) if review else Done("known")
    decision = NewDecision("merge", "national", retired, PROVIDER, survivor, reason="national_merge")
    done = await merges.merge_pair(
        by.connection,
        left=survivor,
        right=retired,
        decision=decision,
        sealer=by.sealer,
        blinder=by.blinder,
        now=by.now,
    )
    await _keep(by, done.survivor, notice.national_id)
    return Done("merged", done.merge_id)


async def _one_certificate(by: _By, said: NationalPerson | None, *mpis: UUID) -> bool:
    """Say whether each of the persons is stated by somebody here to have the certificate that the notice names."""
    if said is None or not said.id_number:
        return False
    wanted = (said.id_type, comparable_id(said.id_type, said.id_number))
    stated = await golden.contributions(await raw(by.connection), mpis, sealer=by.sealer)
    return all(any(wanted in _certificates(one) for one in hers) for hers in stated)


def _certificates(said: golden.Said) -> list[tuple[str, str]]:
    facts = said.facts
    both = ((facts.id_type, facts.id_number), (facts.said_type, facts.said_number))
    return [(kind, comparable_id(kind, number)) for kind, number in both if number]


async def _distributed(by: _By, notice: Notice, subject: bytes, mpi: UUID) -> Done:
    """Facts of our person that another province registered (分发): one more statement about her.

    Where they are not hers by name and sex, or the certificate is another one, the statement stands apart until a
    steward has judged, like every record that disagrees.
    """
    inside = await raw(by.connection)
    newer: Any = await (await inside.execute(statements.NEWER, (subject, notice.said_at))).fetchone()
    if newer[0]:
        return Done("outdated")
    if notice.person is None:
        return Done("nothing")
    review = await _keep(by, mpi, notice.national_id)
    if review:
        return Done("review", review)
    record = NewNumber(SOURCE, notice.national_id, mpi, PROVIDER)
    await entering.enter_moved(inside, [record], sealer=by.sealer, blinder=by.blinder, now=by.now)
    provider = Provider(caller_id=PROVIDER, institution_id=None, refuses=False)
    wanted = checked(_statement(notice.national_id, notice.person), provider, now=by.now, kind="national")
    (done,) = await registration.register_many(inside, [wanted], sealer=by.sealer, blinder=by.blinder, now=by.now)
    if isinstance(done, PlatformError):
        raise done
    values = (notice.said_at, notice.said_at, done.contribution_id, done.mpi, done.mpi)
    await inside.execute(statements.SAID_AT, values)  # newest wins by when it was said, not by when we heard of it
    changed = await remake(inside, [done.mpi], sealer=by.sealer, blinder=by.blinder, now=by.now)
    told = [Change(each, "updated", PROVIDER, version) for each, version in changed.items()]
    await events.note(inside, told, now=by.now)
    if done.mpi != mpi or done.review_id:
        return Done("apart", done.review_id)
    return Done("contributed", done.contribution_id)


def _statement(national_id: str, said: NationalPerson) -> PersonToRegister:
    return PersonToRegister(
        source=SourceNumber(domain=SOURCE, number=national_id),
        resident=Stated(
            name=said.name,
            sex=said.sex,
            birth_date=said.birth_date,
            id_type=said.id_type,
            id_number=said.id_number,
            phone=said.phone,
            address=said.address,
            nation=said.nation,
            marital=said.marital,
        ),
    )
