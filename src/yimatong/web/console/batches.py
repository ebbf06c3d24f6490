"""Batches in the console: upload, dry run, progress, stop and go on, the report of refused rows; coverage of a list."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import operators
from yimatong.cards.batches import queries, service
from yimatong.cards.batches.service import Options
from yimatong.cards.errors import BatchColumnsMissing, BatchFileUnreadable, BatchOptionInvalid
from yimatong.kit import spreadsheets
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal, catalogue
from yimatong.web import charts
from yimatong.web.console import batch_columns, filters
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

_PATH: Final = "/console/batches"
_FIELDS: Final = ("kind", "institution", "tag", "columns")
_PLACE: Final = re.compile(r"\{\w+\}")
"""Stands in a reason for what differs from row to row."""

_MOVING: Final = ("receiving", "running")


@get(_PATH, session="console", permission="console:batches", include_in_schema=False)
async def list_batches(page: NamedDependency[Page]) -> Response[str]:
    """Show the form for a file, and the batches, newest first."""
    return await _list(page)


@post(
    _PATH,
    session="console",
    permission="console:batches",
    status_code=200,
    include_in_schema=False,
    upload=True,
    request_max_body_size=None,
)
async def receive_file(page: NamedDependency[Page]) -> Response[Any]:
    """Take in a file; one that cannot be taken in is told why above the form."""
    given = {name: page.upload.fields.get(name, "").strip() for name in _FIELDS}
    file_name, content = page.upload.file_name, page.upload.content
    options = Options(
        kind=given["kind"],
        institution_id=page.operator.institution_id or given["institution"] or None,
        tag=given["tag"] or None,
    )
    try:
        if not file_name:
            raise BatchFileUnreadable(detail="-")
        place = ""
        if not given["columns"]:
            place = await _receive(page, content, options, file_name)
        place = place or await batch_columns.ask(page, content, options, file_name)
    except Refusal as refusal:
        return await _list(page, refusal=refusal)
    await page.write(_nothing)
    return page.go(place)


async def _receive(page: Page, content: bytes, options: Options, file_name: str) -> str:
    """Take in the file and return the address of its batch; none where its columns have to be chosen."""
    made_by = page.operator.operator_id
    try:
        taken = await service.receive(
            page.db, page.vault, content, options, file_name=file_name, made_by=made_by, now=page.now
        )
    except BatchColumnsMissing:
        return ""
    return f"{_PATH}/{taken.batch_id}"


async def _nothing(_tx: Connection) -> None:
    """Leave the audit row alone."""


async def _list(page: Page, refusal: Refusal | None = None) -> Response[str]:
    before = filters.words(page, "after")

    async def look(tx: Connection) -> dict[str, Any]:
        rows = await queries.newest(tx, scope=page.scope, limit=filters.PAGE_ROWS + 1, before=before)
        shown = rows[: filters.PAGE_ROWS]
        following = filters.address(_PATH, after=shown[-1].batch_id) if len(rows) > len(shown) else ""
        names = await operators.names(tx, {row.made_by for row in rows})
        return {"rows": shown, "following": following, "names": names}

    return page.html(
        "console/batches.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "batches"),
        **await page.read(look),
        kinds=service.KINDS,
        refusal=refusal.text(page.language) if refusal else "",
        code=refusal.code if refusal else "",
        first=_PATH if before else "",
    )


@get(f"{_PATH}/{{batch_id:str}}", session="console", permission="console:batches", include_in_schema=False)
async def show_batch(batch_id: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show one batch; while it moves, the part with the numbers is fetched again every second."""
    found = await page.read(lambda tx: queries.read(tx, batch_id, scope=page.scope))
    known = catalogue()
    counts = found.checked if found.state == "checked" and found.checked else found
    checking = page.request.query_params.get("checking") == "1" and found.checked is None
    return page.html(
        "console/batch_part.html" if page.from_htmx else "console/batch.html",
        **shell(page, "batches"),
        batch=found,
        counts=counts,
        reason={code: _PLACE.sub("…", known[code]().text(page.language)) for code in counts.reasons if code in known},
        moving=found.state in _MOVING or checking,
        checking=checking,
        percent=100 * found.done // found.rows if found.rows else 0,
        field_names={field: names[0] for field, names in service.FIELDS.items()},
    )


@post(
    f"{_PATH}/{{batch_id:str}}/{{verb:str}}",
    session="console",
    permission="console:batches",
    status_code=200,
    include_in_schema=False,
)
async def change_batch(batch_id: FromPath[str], verb: FromPath[str], page: NamedDependency[Page]) -> Response[None]:
    """Check, start or stop a batch."""
    if verb == "check":
        await page.write(lambda tx: service.queue_check(tx, batch_id, scope=page.scope))
        return page.go(f"{_PATH}/{batch_id}?checking=1")
    if verb == "start":
        await page.write(lambda tx: service.start(tx, batch_id, scope=page.scope, now=page.now, queue=True))
    elif verb == "stop":
        await page.write(lambda tx: service.stop(tx, batch_id, scope=page.scope, now=page.now))
    else:
        raise BatchOptionInvalid(detail=verb)
    return page.go(f"{_PATH}/{batch_id}")


@get(
    [f"{_PATH}/{{batch_id:str}}/report.csv", f"{_PATH}/{{batch_id:str}}/report.xlsx"],
    session="console",
    permission="console:batches",
    reads="personal",
    include_in_schema=False,
)
async def download_report(batch_id: FromPath[str], page: NamedDependency[Page]) -> Response[bytes]:
    """Hand out the refused rows with their reasons; names and numbers are masked."""
    await page.read(lambda tx: queries.find(tx, batch_id, scope=page.scope))
    rows = await service.report(page.db, page.vault, batch_id, scope=page.scope)
    if page.request.url.path.endswith(".xlsx"):
        return _file(spreadsheets.xlsx_bytes(rows), spreadsheets.XLSX_TYPE, f"{batch_id}.xlsx")
    return _file(spreadsheets.csv_bytes(rows), spreadsheets.CSV_TYPE, f"{batch_id}.csv")


@get("/console/batch-rows", session="console", permission="console:batch-rows", include_in_schema=False)
async def list_refused(page: NamedDependency[Page]) -> Response[str]:
    """Show the batches with refused rows that can still be handed out."""
    found = await page.read(lambda tx: queries.with_refused(tx, scope=page.scope))
    return page.html("console/batch_rows.html", **shell(page, "batch-rows"), rows=found)


@get(
    "/console/batch-rows/{batch_id:str}",
    session="console",
    permission="console:batch-rows",
    reads="personal",
    include_in_schema=False,
)
async def download_rows(batch_id: FromPath[str], page: NamedDependency[Page]) -> Response[bytes]:
    """Hand out the refused rows as they were written, to be mended and uploaded again.

    A workbook only: a spreadsheet that opens a CSV breaks their numbers.
    """
    rows = await page.read(lambda tx: service.whole_rows(tx, page.vault, batch_id, scope=page.scope))
    return _file(spreadsheets.xlsx_bytes(rows), spreadsheets.XLSX_TYPE, f"{batch_id}-rows.xlsx")


@get("/console/coverage", session="console", permission="console:coverage", include_in_schema=False)
async def show_coverage(page: NamedDependency[Page]) -> Response[Any]:
    """Show by county who of a priority group has a card and has used it."""
    wanted = filters.words(page, "tag")

    async def look(tx: Connection) -> tuple[list[str], str, list[Any]]:
        tags = await queries.tags(tx) if page.scope.all_rows else []
        tag = wanted if wanted in tags else (tags[0] if tags else "")
        return tags, tag, await queries.coverage(tx, tag) if tag else []

    tags, tag, rows = await page.read(look)
    if page.request.query_params.get("as") == "csv":
        heading = ("行政区划 region", "名称 name", "名单 listed", "已开卡 made", "已使用 used", "未导入 refused")
        lines = [(row.region_code, row.region, row.listed, row.made, row.used, row.bad) for row in rows]
        return _file(spreadsheets.csv_bytes([heading, *lines]), spreadsheets.CSV_TYPE, "coverage.csv")
    series = [
        charts.Series(name=page.text("coverage.used"), style="s1", values=tuple(row.used for row in rows)),
        charts.Series(name=page.text("coverage.unused"), style="s2", values=tuple(row.made - row.used for row in rows)),
        charts.Series(name=page.text("coverage.bad"), style="s3", values=tuple(row.bad for row in rows)),
    ]
    return page.html(
        "console/coverage.html",
        **shell(page, "coverage"),
        tags=tags,
        tag=tag,
        rows=rows,
        series=series,
        csv=filters.address("/console/coverage", tag=tag) + "&as=csv",
        chart=charts.columns(
            identity="coverage",
            title=page.text("coverage.title"),
            description=", ".join(f"{line.name} {line.total:,}" for line in series),
            labels=[row.region_code for row in rows],
            series=series,
        ),
    )


def _file(content: bytes, kind: str, name: str) -> Response[bytes]:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, media_type=kind, headers=headers)


ROUTES = [
    list_batches,
    receive_file,
    show_batch,
    change_batch,
    download_report,
    list_refused,
    download_rows,
    show_coverage,
    *batch_columns.ROUTES,
]
