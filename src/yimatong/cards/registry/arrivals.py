"""批量制卡: what the card-management system hands over is entered as it comes, and registered in the index by a job.

Entering is quick and loses nothing: a row that cannot even be a card is kept too, and gets its reason when its turn
comes. The job takes a batch at a time, each batch one transaction, so a kill loses at most the work of one batch and
does nothing twice. A bad row never stops its neighbours; it can be corrected (sent again) or tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, text, update

from yimatong.access.caller import Scope
from yimatong.cards.accounts.real_name import LEVELS
from yimatong.cards.errors import ArrivalFailed
from yimatong.cards.models import arrival
from yimatong.cards.registry import queries, service
from yimatong.cards.registry.schemas import ArrivedCard, DeliveryView
from yimatong.cards.registry.service import Plastic
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.persons import identity
from yimatong.empi.persons import service as empi
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.empi.persons.service import Identification
from yimatong.kit import jobs
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database, raw, sqlstate
from yimatong.kit.errors import InvalidInput, PlatformError, Refusal, Unavailable
from yimatong.kit.ids import new_id
from yimatong.kit.log import KitLog

JOB = "registry.register_arrivals"
BATCH_ROWS = 200
_DETAIL_MAX = 200
_NOBODY = UUID(int=0)

_ENTER = text(
    """
    INSERT INTO cards_arrival AS a (arrival_id, delivery, institution_id, line, card_type, number_blind, number_end,
        sealed, received_at, received_by)
    SELECT DISTINCT ON (card_type, number_blind)
        arrival_id, :delivery, :institution_id, line, card_type, number_blind, number_end, sealed, :now, :actor
    FROM unnest(cast(:ids AS text[]), cast(:lines AS int[]), cast(:types AS text[]), cast(:blinds AS bytea[]),
                cast(:ends AS text[]), cast(:sealed AS bytea[]))
        AS i (arrival_id, line, card_type, number_blind, number_end, sealed)
    ORDER BY card_type, number_blind, line
    ON CONFLICT (institution_id, delivery, card_type, number_blind) DO UPDATE
        SET arrival_id = excluded.arrival_id, sealed = excluded.sealed, line = excluded.line, state = 'waiting',
            reason = NULL, detail = '', received_at = excluded.received_at, received_by = excluded.received_by
        WHERE a.state = 'refused'
    RETURNING arrival_id
    """
)


async def receive(
    connection: Connection,
    vault: Vault,
    rows: Sequence[ArrivedCard],
    *,
    delivery: str,
    institution_id: str,
    actor: str,
    now: datetime,
) -> int:
    """Enter rows of a delivery as they came, and queue the job that registers them; return how many are new.

    This is the one way in for interfaces and imports of files. A row is known by delivery, card type and card number:
    sent again it changes nothing, unless it was refused; then it takes the place of the refused one.
    """
    sealer, blinder = await vault.sealer(), await vault.blinder()
    ids = [new_id("arr") for _ in rows]
    entered = await connection.execute(
        _ENTER,
        {
            "delivery": delivery,
            "institution_id": institution_id,
            "now": now,
            "actor": actor,
            "ids": ids,
            "lines": [row.line for row in rows],
            "types": [_storable(row.card_type) for row in rows],
            "blinds": [blinder.card_blind(row.card_type, row.card_number) for row in rows],
            "ends": [_storable(service.number_end(row.card_number)) for row in rows],
            "sealed": [
                sealer.seal(msgspec.json.encode(row), aad(arrival_id))
                for row, arrival_id in zip(rows, ids, strict=True)
            ],
        },
    )
    new = len(entered.all())
    if new:
        await jobs.defer(connection, task=JOB, args={"delivery": delivery})
    return new


async def receive_and_view(
    connection: Connection, vault: Vault, rows: Sequence[ArrivedCard], *, delivery: str, scope: Scope, now: datetime
) -> DeliveryView:
    """Enter rows for an institution's system and return how far the delivery is."""
    await receive(
        connection,
        vault,
        rows,
        delivery=delivery,
        institution_id=scope.institution_id or "",
        actor=scope.caller_id,
        now=now,
    )
    return await queries.delivery(connection, delivery, scope=scope)


async def retry(connection: Connection, delivery: str, *, scope: Scope) -> DeliveryView:
    """Let the refused rows of a delivery be tried again (after its holder was cleared up in the index, for instance).

    Raises:
        DeliveryNotFound: none, or another institution's.
    """
    await queries.delivery(connection, delivery, scope=scope)
    again = await connection.execute(
        update(arrival)
        .where(
            arrival.c.delivery == delivery,
            arrival.c.state == "refused",
            *([] if scope.all_rows else [arrival.c.institution_id == scope.institution_id]),
        )
        .values(state="waiting", reason=None, detail="")
        .returning(arrival.c.arrival_id)
    )
    if again.all():
        await jobs.defer(connection, task=JOB, args={"delivery": delivery})
    return await queries.delivery(connection, delivery, scope=scope)


async def register_due(db: Database, vault: Vault, *, now: datetime) -> int:
    """Register everything that waits, batch by batch; return how many rows were worked off."""
    done = 0
    while batch := await register_batch(db, vault, now=now):
        done += batch
    return done


async def register_batch(db: Database, vault: Vault, *, now: datetime, rows_max: int = BATCH_ROWS) -> int:
    """Register one batch in one transaction; return how many rows it had. Several workers may do so at once.

    What nobody foresaw never stops the queue: the batch is done again in halves until the one bad row stands alone,
    which is refused with a reason of its own. An outage is nobody's row: it is raised, and the batch waits.

    Raises:
        DatabaseUnavailable, DeviceUnavailable.
    """
    taken: list[str] = []
    try:
        return await _register(db, vault, now=now, limit=rows_max, taken=taken)
    except Exception as failure:
        if not taken or _is_outage(failure):
            raise
        return await _in_halves(db, vault, taken, failure, now=now)


async def _in_halves(db: Database, vault: Vault, ids: Sequence[str], failure: Exception, *, now: datetime) -> int:
    """Register each half by itself, and refuse the row that fails alone."""
    if len(ids) == 1:
        KitLog.LOOP_FAILED.emit(loop=JOB, arrival=ids[0], cause=type(failure).__name__, sqlstate=sqlstate(failure))
        async with db.transaction() as connection:
            rows = await queries.waiting(connection, limit=1, among=ids)
            why = ArrivalFailed(failure=type(failure).__name__)
            await _store(connection, {row.arrival_id: why for row in rows}, now=now)
        return len(rows)
    done = 0
    for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
        try:
            done += await _register(db, vault, now=now, limit=len(half), taken=[], among=half)
        except Exception as again:
            if _is_outage(again):
                raise
            done += await _in_halves(db, vault, half, again, now=now)
    return done


def _is_outage(failure: Exception) -> bool:
    """Say whether the next try may succeed: a part is away, or another transaction was in the way."""
    if not isinstance(failure, Unavailable):
        return False
    state = sqlstate(failure) or ""
    return state[:2] in _AWAY


_AWAY = ("", "08", "25", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that speak of the server and of others, not of the row; none: it did not answer."""


async def _register(
    db: Database,
    vault: Vault,
    *,
    now: datetime,
    limit: int,
    taken: list[str],
    among: Sequence[str] | None = None,
) -> int:
    """Register up to ``limit`` rows in one transaction; ``taken`` gets their ids."""
    sealer, blinder = await vault.sealer(), await vault.blinder()
    async with db.transaction() as connection:
        rows = await queries.waiting(connection, limit=limit, among=among)
        taken += [row.arrival_id for row in rows]
        outcome: dict[str, str | PlatformError] = {}
        read: list[_Read] = []
        for row in rows:
            try:
                read.append(_read(row, sealer, blinder, now=now))
            except PlatformError as error:
                outcome[row.arrival_id] = error
        ready = await _identify(connection, read, outcome, sealer=sealer, blinder=blinder, now=now)
        entered = await service.enter_many(
            connection, [card for _, card in ready], sealer=sealer, blinder=blinder, now=now, known_dead=True
        )
        for (one, _), result in zip(ready, entered, strict=True):
            outcome[one.arrival_id] = result if isinstance(result, Refusal) else str(result.card_id)
        await _store(connection, outcome, now=now)
        return len(rows)


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a delivery that can be a card; its plastic's ``mpi`` is not known yet."""

    arrival_id: str
    resident: Demographics
    real_name: str
    plastic: Plastic


def _read(row: Row[Any], sealer: Sealer, blinder: Blinder, *, now: datetime) -> _Read:
    """Open a row and judge its facts.

    Raises:
        Refusals of ``identity.checked``; CardTypeUnknown, CardNumberInvalid; InvalidInput names the field.
    """
    card = msgspec.json.decode(sealer.unseal(bytes(row.sealed), aad(row.arrival_id)), type=ArrivedCard)
    facts = {name: getattr(card, name) for name in ("name", "sex", "id_type", "id_number", "phone", "address")}
    try:
        given = msgspec.convert({**facts, "birth_date": card.birth_date}, Demographics)
    except msgspec.ValidationError as error:
        raise InvalidInput(detail=_field(error)) from error
    resident = identity.checked(given, today=business_date(now))
    plastic = service.plastic(
        card_type=card.card_type,
        card_number=card.card_number,
        chip_number=card.chip_number,
        issuer=card.issuer or row.institution_id,
        holder=(resident.id_type, blinder.id_blind(resident.id_type, resident.id_number)),
        mpi=_NOBODY,
        caller=(row.received_by, row.institution_id),
        blinder=blinder,
    )
    return _Read(arrival_id=row.arrival_id, resident=resident, real_name=card.real_name, plastic=plastic)


def _field(error: msgspec.ValidationError) -> str:
    """Return the name of the field that a message ends with (``... - at `$.phone```), never a value."""
    _, found, path = str(error).rpartition("`$.")
    return path.rstrip("`") if found else "row"


async def _identify(
    connection: Connection,
    read: Sequence[_Read],
    outcome: dict[str, str | PlatformError],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> list[tuple[_Read, Plastic]]:
    """Find or enter the holders in the index, many to a statement; keep refusals, of which nothing is left behind."""
    inside = await raw(connection)
    asked = await queries.entries(connection, [one.plastic.holder for one in read]) if read else {}
    items = [(one, _item(one, asked, now=now)) for one in read]
    await empi.claim_many(inside, [item for _, item in items], now=now)
    ready: list[tuple[_Read, Plastic]] = []
    while items:
        taken, items = _round(items)
        await empi.look_up_many(inside, [item for _, item in taken], sealer=sealer)
        stays = []
        for one, item in taken:
            refusal = item.refusal or (PersonNotFound() if item.mpi is None else None)
            if refusal is not None:
                outcome[one.arrival_id] = refusal
                continue
            stays.append(item)
            ready.append((one, msgspec.structs.replace(one.plastic, mpi=item.mpi)))
        await empi.enter_many(inside, stays, sealer=sealer, blinder=blinder, now=now)
        await empi.release_many(inside, [item for _, item in taken if item not in stays])
    return ready


def _item(one: _Read, asked: dict[tuple[str, bytes], Row[Any]], *, now: datetime) -> Identification:
    entry, method = asked.get(one.plastic.holder), one.real_name
    return Identification(
        given=one.resident,
        blind=one.plastic.id_blind,
        proposed_mpi=entry.mpi if entry else uuid4(),
        fresh=False,
        provider=one.plastic.actor,
        mark=RealNameMark(method=method, level=LEVELS[method], at=now),
    )


def _round(
    items: list[tuple[_Read, Identification]],
) -> tuple[list[tuple[_Read, Identification]], list[tuple[_Read, Identification]]]:
    """Take one row of each holder; her second card of the same batch sees what the first one stored."""
    seen: set[tuple[str, bytes]] = set()
    taken: list[tuple[_Read, Identification]] = []
    left: list[tuple[_Read, Identification]] = []
    for pair in items:
        (left if pair[1].certificate in seen else taken).append(pair)
        seen.add(pair[1].certificate)
    return taken, left


_DONE = text(
    """
    UPDATE cards_arrival a
    SET state = CASE WHEN i.reason IS NULL THEN 'done' ELSE 'refused' END, reason = i.reason, detail = i.detail,
        card_id = i.card_id, tries = a.tries + 1, done_at = :now
    FROM unnest(cast(:ids AS text[]), cast(:reasons AS text[]), cast(:details AS text[]), cast(:cards AS text[]))
        AS i (arrival_id, reason, detail, card_id)
    WHERE a.arrival_id = i.arrival_id
    """
)


async def _store(connection: Connection, outcome: dict[str, str | PlatformError], *, now: datetime) -> None:
    refused = {key: error for key, error in outcome.items() if isinstance(error, PlatformError)}
    await connection.execute(
        _DONE,
        {
            "ids": list(outcome),
            "reasons": [refused[key].code if key in refused else None for key in outcome],
            "details": [_detail(refused.get(key)) for key in outcome],
            "cards": [None if key in refused else value for key, value in outcome.items()],
            "now": now,
        },
    )


def _detail(error: PlatformError | None) -> str:
    """Return the first public fact of a refusal: the field, the code that is unknown."""
    return "" if error is None else _storable(" ".join(str(fact) for fact in error.facts.values())[:_DETAIL_MAX])


def _storable(text: str) -> str:
    """Return a text without the one character that PostgreSQL cannot keep: the row is refused, not its neighbours."""
    return text.replace("\0", "\ufffd")


def aad(arrival_id: str) -> bytes:
    """Bind a sealed card to its arrival."""
    return b"cards_arrival:" + arrival_id.encode()
