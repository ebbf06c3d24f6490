"""HTTP of the records: search with a cursor, and counts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import structs

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import (
    ArchiveAway,
    ArchiveDamaged,
    CountFieldUnknown,
    PageMarkInvalid,
    SpanInvalid,
    TooManyGroups,
)
from yimatong.cards.records import service
from yimatong.cards.records.archive import Archive
from yimatong.cards.records.schemas import CountTable, Filters, RecordPage
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput

Moment = Annotated[datetime | None, QueryParameter(description="RFC 3339 with an offset")]
Identifier = Annotated[str, QueryParameter(pattern="^[A-Za-z0-9_.-]{0,64}(?!\\n)$")]
Event = Annotated[Literal["", "issued", "verified"], QueryParameter()]
Result = Annotated[
    str, QueryParameter(pattern="^(ok|refused|[A-Z]{3}-[0-9]{4})?(?!\\n)$", description="ok, refused, or an error code")
]
Vuid = Annotated[str, QueryParameter(pattern="^([0-9A-F]{64})?(?!\\n)$")]


def provide_filters(
    *,
    since: Moment = None,
    until: Moment = None,
    event: Event = "",
    kind: Identifier = "",
    result: Result = "",
    purpose: Identifier = "",
    institution: Identifier = "",
    terminal: Identifier = "",
    front: Identifier = "",
    vuid: Vuid = "",
    record_id: Identifier = "",
) -> Filters:
    """Read the filters of an address.

    Raises:
        InvalidInput: a time without an offset. SpanInvalid.
    """
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidInput(detail=f"{name}: RFC 3339 with an offset")
    found = Filters(
        since=since,
        until=until,
        event=event or None,
        code_kind=kind or None,
        result=None if result in ("", "refused") else result,
        refused=result == "refused",
        purpose=purpose or None,
        institution_id=institution or None,
        caller_id=terminal or None,
        front_id=front or None,
        vuids=(vuid,) if vuid else (),
        record_id=record_id or None,
    )
    service.check_span(found)
    return found


@get(
    "/api/v1/codes/records",
    permission="records:read",
    reads="personal",
    responses=documented(RecordPage, SpanInvalid, PageMarkInvalid, ArchiveAway, ArchiveDamaged, status=200),
)
async def list_records(
    call: NamedDependency[Call],
    archive: NamedDependency[Archive],
    filters: NamedDependency[Filters],
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str, QueryParameter(max_length=200, pattern="^[A-Za-z0-9_-]*(?!\\n)$")] = "",
) -> RecordPage:
    """二维码生成及验证记录查询. Search one's own records of issue and verification, newest first, archived ones too."""
    after = service.mark_from(cursor)
    scope = call.caller.scope

    async def look(tx: Connection) -> service.Looked:
        return await service.look(tx, scope=scope, filters=filters, after=after, limit=limit)

    rows, mark = await service.complete(await call.read(look), archive, scope=scope, after=after, limit=limit)
    return RecordPage(records=rows, next=service.cursor(mark))


@get(
    "/api/v1/codes/records/counts",
    permission="records:read",
    responses=documented(
        CountTable, SpanInvalid, CountFieldUnknown, TooManyGroups, ArchiveAway, ArchiveDamaged, status=200
    ),
)
async def count_records(
    call: NamedDependency[Call],
    archive: NamedDependency[Archive],
    filters: NamedDependency[Filters],
    by: Annotated[str, QueryParameter(max_length=120, pattern="^[a-z]*(,[a-z]+)*(?!\\n)$")] = "",
) -> CountTable:
    """二维码生成及验证记录统计. Count one's own records, e.g. ``by=day,result``; ``since`` is required."""
    return await service.counts(
        call.db,
        archive,
        by=[name for name in by.split(",") if name],
        scope=call.caller.scope,
        filters=structs.replace(filters, until=filters.until or call.now),
        now=call.now,
    )


ROUTES = [list_records, count_records]
