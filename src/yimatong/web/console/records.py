"""The console's records of codes: every issue and verification by filter, as charts, and as a file."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import Stream

from yimatong.access import callers
from yimatong.access.errors import CallerNotApproved
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    CardCancelled,
    CardLost,
    CardReplaced,
    CodeBurnt,
    CodeElsewhere,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUnreadable,
    CodeUsed,
    CodeWrongPurpose,
    MediumWrongPurpose,
    NotIdentified,
    NotOpenToApplication,
    PageMarkInvalid,
    StaticCodeSwitchedOff,
    TerminalThrottled,
)
from yimatong.cards.records import service
from yimatong.cards.records.schemas import COUNT_BY, Count, CountTable, Filters, Record
from yimatong.kit import audit
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Connection
from yimatong.kit.errors import catalogue
from yimatong.kit.pages import full_time, masked_code
from yimatong.kit.spreadsheets import harmless
from yimatong.web import charts
from yimatong.web.charts import Series
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

EVENTS: Final = ("issued", "verified")
KINDS: Final = ("dynamic", "static", "offline", "two_in_one", "plastic", "certificate", "unreadable")
PURPOSES: Final = ("register", "visit", "records", "payment", "general")
_PATH: Final = "/console/codes"
_VUID: Final = re.compile(r"[0-9A-F]{64}", re.ASCII)
_CHART_DAYS: Final = 14
_GROUPS_SHOWN: Final = 200


_VERIFIED: Final = (
    CodeUnreadable, CodeNotGenuine, CodeExpired, CodeUsed, CodeBurnt, CodeRevoked, CodeWrongPurpose,
    StaticCodeSwitchedOff, CodeElsewhere, NotOpenToApplication, TerminalThrottled, AccountFrozen, AccountCancelled,
)  # fmt: skip
_IDENTIFIED: Final = (CardLost, CardReplaced, CardCancelled, NotIdentified, MediumWrongPurpose)


def results() -> list[str]:
    """Return every result that a record can carry: ``ok`` or the public code of a refusal."""
    return ["ok", *sorted(refusal.code for refusal in (*_VERIFIED, *_IDENTIFIED, CallerNotApproved))]


def wanted_of(page: Page) -> dict[str, str]:
    """Return the filters of the address as the form shows them.

    Raises:
        FilterInvalid: a value that no record has.
    """
    first, last = filters.day(page), filters.day(page, "to")
    return {
        "day": first.isoformat() if first else "",
        "to": last.isoformat() if last else "",
        "event": filters.choice(page, "event", EVENTS),
        "kind": filters.choice(page, "kind", KINDS),
        "purpose": filters.choice(page, "purpose", PURPOSES),
        "result": filters.choice(page, "result", ["refused", *results()]),
        "institution": filters.words(page, "institution"),
        "terminal": filters.words(page, "terminal"),
        "card": filters.words(page, "card"),
    }


def asked_of(page: Page, wanted: dict[str, str]) -> Filters:
    """Return what to look for. One day alone is that day; ``card`` is a whole VUID or a record's id.

    Raises:
        FilterInvalid, SpanInvalid.
    """
    first, last = filters.day(page), filters.day(page, "to")
    card = wanted["card"].upper() if _VUID.fullmatch(wanted["card"].upper()) else ""
    if wanted["card"] and not card and not wanted["card"].startswith("rec_"):
        raise FilterInvalid(detail="card")
    end = last or first
    found = Filters(
        since=day_bounds(first)[0] if first else None,
        until=day_bounds(end)[1] if end else None,
        event=wanted["event"] or None,
        code_kind=wanted["kind"] or None,
        purpose=wanted["purpose"] or None,
        result=wanted["result"] if wanted["result"] not in ("", "refused") else None,
        refused=wanted["result"] == "refused",
        institution_id=wanted["institution"] or None,
        caller_id=wanted["terminal"] or None,
        vuids=(card,) if card else (),
        record_id=wanted["card"] if wanted["card"] and not card else None,
    )
    service.check_span(found)
    return found


async def _whole(page: Page, asked: Filters) -> Filters:
    """Look for a card under every VUID that its account has or had; a VUID without an account stays as it is."""
    if not asked.vuids:
        return asked
    async with page.db.read() as tx:
        try:
            group = await accounts.group(tx, asked.vuids[0])
        except AccountNotFound:
            return asked
    return msgspec.structs.replace(asked, vuids=tuple({*asked.vuids, *group}))


@get(_PATH, session="console", permission="console:codes", include_in_schema=False)
async def list_codes(page: NamedDependency[Page]) -> Response[str]:
    """Show a page of records; no name is read, a card shows as the ends of its number."""
    wanted = wanted_of(page)
    asked = await _whole(page, asked_of(page, wanted))
    try:
        after = service.mark_from(filters.words(page, "after"))
    except PageMarkInvalid as error:
        raise FilterInvalid(detail="after") from error
    archive = service.archive_at(page.parts.settings.archive_folder, page.vault)
    rows, mark = await service.search(
        page.db, archive, scope=page.scope, filters=asked, after=after, limit=filters.PAGE_ROWS
    )
    return page.html(
        "console/codes.html",
        **shell(page, "codes"),
        **_choices(page),
        rows=rows,
        names=await _names(page, rows),
        wanted=wanted,
        export=filters.address(f"{_PATH}/export", **wanted),
        export_most=f"{service.EXPORT_MAX:,}",
        charts_address=filters.address(f"{_PATH}/counts", **wanted),
        result_texts={code: _result_text(page, code) for code in {row.result for row in rows}},
        first=filters.address(_PATH, **wanted) if after else "",
        following=filters.address(_PATH, **wanted, after=service.cursor(mark)) if mark else "",
    )


@get(f"{_PATH}/counts", session="console", permission="console:codes", include_in_schema=False)
async def count_codes(page: NamedDependency[Page]) -> Response[str]:
    """Show records counted, as charts and as a table; the last fourteen days unless others are asked for."""
    wanted = wanted_of(page)
    if not wanted["day"]:
        wanted["day"] = (business_date(page.now) - timedelta(days=_CHART_DAYS - 1)).isoformat()
        wanted["to"] = business_date(page.now).isoformat()
    by = filters.choice(page, "by", COUNT_BY) or "result"
    asked = await _whole(page, _spanned(asked_of(page, wanted), wanted))
    archive = service.archive_at(page.parts.settings.archive_folder, page.vault)
    hours = await service.counts(
        page.db, archive, by=("hour", "event", "result"), scope=page.scope, filters=asked, now=page.now
    )
    table = (
        await service.counts(page.db, archive, by=(by,), scope=page.scope, filters=asked, now=page.now)
        if by not in ("hour", "day", "month", "event", "result")
        else _regrouped(hours, by)
    )
    ranked = (
        sorted(table.counts, key=lambda count: -count.number) if by not in ("hour", "day", "month") else table.counts
    )
    shown = ranked[:_GROUPS_SHOWN]
    ids = {count.values[0] for count in shown if count.values[0]}
    names: dict[str, str] = await page.read(lambda tx: callers.names(tx, ids))
    return page.html(
        "console/counts.html",
        **shell(page, "codes"),
        **_choices(page),
        **_drawn(page, hours),
        wanted=wanted | {"by": by},
        ways=COUNT_BY,
        table=table,
        shown=[(_group_text(page, by, count.values[0], names), count.number) for count in shown],
        most=max((count.number for count in shown), default=0),
        list_address=filters.address(_PATH, **wanted),
    )


def _spanned(asked: Filters, wanted: dict[str, str]) -> Filters:
    """Fill in the days that the form shows where the address had none."""
    since = day_bounds(datetime.fromisoformat(wanted["day"]).date())[0]
    until = day_bounds(datetime.fromisoformat(wanted["to"] or wanted["day"]).date())[1]
    return msgspec.structs.replace(asked, since=since, until=until)


def _regrouped(hours: CountTable, by: str) -> CountTable:
    """Count by less what was counted by hour, event and result already."""
    cut = {"hour": 13, "day": 10, "month": 7}.get(by)
    position = 0 if cut else hours.by.index(by)
    total: Counter[tuple[str, ...]] = Counter()
    for count in hours.counts:
        total[count.values[position][:cut],] += count.number
    return CountTable(
        by=(by,), counts=[Count(values=key, number=total[key]) for key in sorted(total)], total=hours.total
    )


def _drawn(page: Page, hours: CountTable) -> dict[str, Any]:
    """Return the charts: columns by day, stacked by what came of it, and a field of days and hours."""
    cells: Counter[tuple[str, int]] = Counter()
    kinds: dict[str, Counter[str]] = {"issued": Counter(), "ok": Counter(), "refused": Counter()}
    for count in hours.counts:
        hour, event, result = count.values
        cells[hour[:10], int(hour[11:])] += count.number
        kinds["issued" if event == "issued" else "ok" if result == "ok" else "refused"][hour[:10]] += count.number
    days = sorted({day for day, _ in cells})
    labels = [f"{hour:02d}" for hour in range(24)]
    series = [
        Series(name=page.text(text), style=style, values=tuple(kinds[kind][day] for day in days))
        for kind, text, style in (
            ("issued", "home.issued", "s2"),
            ("ok", "home.verified", "s1"),
            ("refused", "home.refused", "s3"),
        )
    ]
    said = ", ".join(f"{line.name} {line.total:,}" for line in series)
    return {
        "days": days,
        "series": series,
        "hours": labels,
        "cells": {day: [cells[day, hour] for hour in range(24)] for day in days},
        "chart": charts.columns(
            identity="days",
            title=page.text("counts.title"),
            description=said,
            labels=[day[5:] for day in days],
            series=series,
        ),
        "heat": charts.heat(
            identity="heat",
            title=page.text("counts.heat"),
            description=said,
            rows=[(day[5:], [cells[day, hour] for hour in range(24)]) for day in days[-31:]],
            labels=labels,
        ),
    }


def _group_text(page: Page, by: str, value: str, names: dict[str, str]) -> str:
    """Return how a group is called."""
    if not value:
        return "—"
    if by == "result":
        return f"{value} {_result_text(page, value)}" if value != "ok" else _result_text(page, value)
    prefix = {"purpose": "purpose.", "kind": "kind.", "event": "event."}.get(by)
    return (
        page.parts.pages.texts.text_or(page.language, f"{prefix}{value}", value) if prefix else names.get(value, value)
    )


@get(f"{_PATH}/export", session="console", permission="console:codes", include_in_schema=False)
async def export_codes(page: NamedDependency[Page]) -> Stream:
    """Send the records as CSV while they are read; that somebody takes a file is in the audit before its first line."""
    asked = await _whole(page, asked_of(page, wanted_of(page)))

    async def note(tx: Connection) -> None:
        await audit.record(
            tx,
            actor=page.actor,
            institution_id=page.operator.institution_id,
            action="records:export",
            object_kind="page",
            object_id=page.request.url.path,
            request_id=page.request_id,
            now=page.now,
            detail=page.request.url.query[:200] if "card=" not in page.request.url.query else "card",
        )

    async with page.db.transaction() as connection:
        await note(connection)
    name = f"records-{business_date(page.now):%Y%m%d}.csv"
    return Stream(
        _lines(page, asked),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )


async def _lines(page: Page, asked: Filters) -> AsyncIterator[bytes]:
    heads = ("at", "event", "kind", "institution", "terminal", "purpose", "result", "card", "took")
    yield ("\ufeff" + _line([page.text(f"codes.{head}") for head in heads] + ["record_id"])).encode()
    archive = service.archive_at(page.parts.settings.archive_folder, page.vault)
    async for rows in service.every(page.db, archive, scope=page.scope, filters=asked):
        names = await _names(page, rows)
        yield "".join(_line(_cells(page, row, names)) for row in rows).encode()


def _cells(page: Page, row: Record, names: dict[str, str]) -> list[str]:
    words = page.parts.pages.texts.text_or
    return [
        full_time(row.at),
        page.text(f"event.{row.event}"),
        words(page.language, f"kind.{row.code_kind}", row.code_kind),
        names.get(row.institution_id or "", row.institution_id or ""),
        page.text("codes.web") if row.caller_id == "web" else names.get(row.caller_id, row.caller_id),
        words(page.language, f"purpose.{row.purpose}", row.purpose),
        row.result,
        masked_code(row.vuid),
        "" if row.took_ms is None else str(row.took_ms),
        row.record_id,
    ]


def _line(cells: list[str]) -> str:
    """Write one line of a file for a spreadsheet."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(map(harmless, cells))
    return out.getvalue()


async def _names(page: Page, rows: list[Record]) -> dict[str, str]:
    ids = {row.institution_id for row in rows if row.institution_id} | {row.caller_id for row in rows}
    async with page.db.read() as tx:
        return await callers.names(tx, ids)


def _choices(page: Page) -> dict[str, Any]:
    shown = [(code, _result_text(page, code)) for code in results()]
    return {
        "events": EVENTS,
        "kinds": KINDS,
        "purposes": PURPOSES,
        "results": [shown[0], ("refused", page.text("codes.refused")), *shown[1:]],
    }


def _result_text(page: Page, result: str) -> str:
    if result == "ok":
        return page.text("result.ok")
    known = catalogue().get(result)
    return known().text(page.language) if known else result


ROUTES = [list_codes, count_codes, export_codes]
