"""Verbs of printed labels.

A label is an account's static code on paper, with a serial of its own. Every print leaves a row, a record of issue and
a line in the account's history; the same seed makes the same serial, so a repeat prints the same label again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.access import callers
from yimatong.access.caller import Caller
from yimatong.cards.accounts import history
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.codes import queries as codes
from yimatong.cards.errors import AccountCancelled, AccountFrozen, SheetRefused, StaticCodeSwitchedOff
from yimatong.cards.labels import queries
from yimatong.cards.labels.schemas import LabelDocument, LabelOf, NewLabel, NewSheet, PrintedLabel, RevokeLabel
from yimatong.cards.models import code_record, label
from yimatong.cards.symbologies import layout, paper, registry
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id

TITLE: Final = "电子健康卡"
SVG: Final = "image/svg+xml"
PDF: Final = "application/pdf"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SERIAL_CHARS: Final = 9
_STARS: Final = re.compile(r"\*{4,}")


class Printing(msgspec.Struct, frozen=True, kw_only=True):
    """Who prints, when, and whether the serial stands in the code. ``seed`` is one for each print job."""

    caller: Caller
    request_id: str
    seed: str
    now: datetime
    serial_in_code: bool = True


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A label that is stored, with what it shows."""

    row: Any
    content: layout.LabelContent


async def print_label(connection: Connection, vault: Vault, wanted: NewLabel, printing: Printing) -> LabelDocument:
    """Print one label.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, StaticCodeSwitchedOff, RecordNotFound; SymbologyUnknown,
        SymbologyNotAvailable, SymbologyDriverFailed, SymbolDoesNotFit, LabelFontMissing.
    """
    ready = await prepared(connection, vault, wanted, printing, symbology=wanted.symbology, place=0)
    page = layout.label(ready.content, layout.SIZES[wanted.size])
    document = paper.svg(page) if wanted.form == "svg" else base64.b64encode(paper.pdf([page])).decode()
    return LabelDocument(
        labels=queries.views([ready.row], serial_in_code=printing.serial_in_code),
        media_type=SVG if wanted.form == "svg" else PDF,
        document=document,
        pages=1,
    )


async def print_sheet(connection: Connection, vault: Vault, wanted: NewSheet, printing: Printing) -> LabelDocument:
    """Print labels of several accounts on sheets, all or none.

    Raises:
        SheetRefused: names the places that cannot be printed, each with its public code. The rest: ``print_label``.
    """
    ready = await prepared_many(connection, vault, wanted.labels, printing, symbology=wanted.symbology)
    pages = layout.sheets([each.content for each in ready], layout.SHEETS[wanted.sheet])
    return LabelDocument(
        labels=queries.views([each.row for each in ready], serial_in_code=printing.serial_in_code),
        media_type=PDF,
        document=base64.b64encode(paper.pdf(pages)).decode(),
        pages=len(pages),
    )


async def prepared_many(
    connection: Connection, vault: Vault, wanted: Sequence[LabelOf], printing: Printing, *, symbology: str
) -> list[Ready]:
    """Store the labels of a sheet.

    Raises:
        SheetRefused: and nothing is stored, for the transaction ends with it.
    """
    registry.get(symbology)
    ready, refused = list[Ready](), list[str]()
    for place, each in enumerate(wanted, start=1):
        try:
            ready.append(await prepared(connection, vault, each, printing, symbology=symbology, place=place))
        except PlatformError as error:
            if error.status >= _SERVER_SIDE or error.code.startswith("CRD-205"):
                raise
            refused.append(f"{place} ({error.code})")
    if refused:
        raise SheetRefused(places=", ".join(refused))
    return ready


_SERVER_SIDE: Final = 500


async def prepared(
    connection: Connection, vault: Vault, wanted: LabelOf, printing: Printing, *, symbology: str, place: int
) -> Ready:
    """Store one label and return it with what it shows.

    Raises:
        See ``print_label``.
    """
    account = await _account(connection, wanted, printing.caller)
    serial = serial_of(printing.seed, account.vuid, place)
    drawn = registry.get(symbology)
    text = queries.code_text(account.vuid, serial, serial_in_code=printing.serial_in_code)
    modules = drawn.draw(text, "paper")
    sealer = await vault.sealer()
    row = await _store(connection, sealer, printing, vuid=account.vuid, serial=serial, symbology=symbology)
    person = await persons.read(connection, sealer, account.mpi)
    institution_id = printing.caller.institution_id
    return Ready(
        row=row,
        content=layout.LabelContent(
            modules=modules,
            symbology=drawn.title,
            title=TITLE,
            name=folded(person.name.masked),
            number=f"{account.vuid[:4]}…{account.vuid[-4:]} {serial}",
            institution=await callers.institution_name(connection, institution_id) if institution_id else "",
            day=business_date(printing.now).isoformat(),
        ),
    )


async def _account(connection: Connection, wanted: LabelOf, caller: Caller) -> Row[Any]:
    """Return the account to print for: held by the caller, or verified at its institution before.

    Raises:
        AccountNotFound, RecordNotFound, AccountFrozen, AccountCancelled, StaticCodeSwitchedOff.
    """
    if wanted.verification_id:
        await codes.used_record(connection, wanted.verification_id, wanted.vuid, scope=caller.scope)
        row = await accounts.latest(connection, wanted.vuid)
    else:
        row = await accounts.held(connection, wanted.vuid, scope=caller.scope)
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled
    if not row.static_allowed:
        raise StaticCodeSwitchedOff
    return row


async def _store(
    connection: Connection, sealer: Sealer, printing: Printing, *, vuid: str, serial: str, symbology: str
) -> Row[Any]:
    """Enter a label with its record and history; one that is there already is returned as it is."""
    caller, now = printing.caller, printing.now
    entered = await connection.execute(
        upsert(label)
        .values(
            vuid=vuid,
            serial=serial,
            state="live",
            symbology=symbology,
            printed_at=now,
            printed_by=caller.caller_id,
            institution_id=caller.institution_id,
        )
        .on_conflict_do_nothing()
        .returning(*label.c)
    )
    row = entered.first()
    if row is None:
        known = await connection.execute(select(label).where(label.c.vuid == vuid, label.c.serial == serial))
        return known.one()
    await connection.execute(
        insert(code_record).values(
            vuid=vuid,
            record_id=new_id("rec"),
            at=now,
            event="issued",
            code_kind="static",
            purpose="label",
            result="ok",
            caller_id=caller.caller_id,
            institution_id=caller.institution_id,
            front_id=caller.front_id,
            request_id=printing.request_id,
        )
    )
    await history.note(
        connection,
        sealer,
        vuid,
        "label_printed",
        origin=history.of_caller(caller, printing.request_id),
        now=now,
        after={"serial": serial, "symbology": symbology},
    )
    return row


def folded(masked: str) -> str:
    """Return a masked name with at most three stars in a row, for a label is narrow. Pure."""
    return _STARS.sub("***", masked)


def serial_of(seed: str, vuid: str, place: int) -> str:
    """Return the serial of a print job's label: ``L`` and 45 bits in Crockford's base 32. Pure."""
    number = int.from_bytes(sm3(f"label:{seed}:{vuid}:{place}".encode())[:8], "big")
    return "L" + "".join(_ALPHABET[number >> (5 * each) & 31] for each in range(_SERIAL_CHARS))


async def revoke(
    connection: Connection,
    vault: Vault,
    serial: str,
    wanted: RevokeLabel,
    *,
    caller: Caller,
    request_id: str,
    now: datetime,
    serial_in_code: bool,
) -> PrintedLabel:
    """Revoke a label; the account's other codes stay good. Revoking it again changes nothing.

    Raises:
        AccountNotFound: none, or not this holder's. LabelNotFound: no such label of it.
    """
    row = await queries.one(connection, wanted.vuid, serial, scope=caller.scope)
    if row.state == "live":
        changed = await connection.execute(
            update(label)
            .where(label.c.vuid == row.vuid, label.c.serial == serial)
            .values(state="revoked", revoked_at=now)
            .returning(*label.c)
        )
        row = changed.one()
        await history.note(
            connection,
            await vault.sealer(),
            row.vuid,
            "label_revoked",
            origin=history.of_caller(caller, request_id),
            now=now,
            after={"serial": serial},
            reason=wanted.reason,
        )
    return queries.views([row], serial_in_code=serial_in_code)[0]
