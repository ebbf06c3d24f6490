"""Filters and page marks as they stand in an address: read strictly, written back for the next page."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import urlencode

from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

PAGE_ROWS: Final = 50
_MARK: Final = re.compile(r"(\d{1,17})~([A-Za-z0-9_.-]{1,64})", re.ASCII)
_TEXT_MAX = 80


def choice(page: Page, name: str, allowed: Collection[str]) -> str:
    """Return one of the allowed values, or an empty text for any.

    Raises:
        FilterInvalid: another value.
    """
    value = page.request.query_params.get(name, "")
    if value and value not in allowed:
        raise FilterInvalid(detail=name)
    return str(value)


def words(page: Page, name: str) -> str:
    """Return a text to look for, short and printable.

    Raises:
        FilterInvalid: too long or unprintable.
    """
    value = str(page.request.query_params.get(name, "")).strip()
    if len(value) > _TEXT_MAX or not value.isprintable():
        raise FilterInvalid(detail=name)
    return value


def day(page: Page, name: str = "day") -> date | None:
    """Return a calendar day, or None for any.

    Raises:
        FilterInvalid: no day as ``2026-11-23``.
    """
    value = page.request.query_params.get(name, "")
    if not value:
        return None
    try:
        found = date.fromisoformat(value)
    except ValueError as error:
        raise FilterInvalid(detail=name) from error
    if not date(2000, 1, 1) <= found <= date(2999, 12, 31):
        raise FilterInvalid(detail=name)
    return found


def mark(page: Page) -> tuple[datetime, str] | None:
    """Return the place where the page before ended.

    Raises:
        FilterInvalid: not a mark of ours.
    """
    value = page.request.query_params.get("after", "")
    if not value:
        return None
    found = _MARK.fullmatch(value)
    if found is None:
        raise FilterInvalid(detail="after")
    seconds, micros = divmod(int(found[1]), 1_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros), found[2]
    except (OverflowError, ValueError, OSError) as error:
        raise FilterInvalid(detail="after") from error


def mark_of(at: datetime, key: str) -> str:
    """Return the mark of a row: its moment in microseconds and its key."""
    whole = int(at.replace(microsecond=0).timestamp())
    return f"{whole * 1_000_000 + at.microsecond}~{key}"


def address(path: str, **wanted: str) -> str:
    """Return an address with the filters that are set."""
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"{path}?{query}" if query else path
