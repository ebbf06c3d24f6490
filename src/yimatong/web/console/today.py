"""A day's numbers: which queries they come from, and how they become charts. The page has no other numbers."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.codes import queries as codes
from yimatong.kit import outbox
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Connection
from yimatong.kit.errors import catalogue
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders.queries import ChannelTotal
from yimatong.web import charts
from yimatong.web.charts import Series
from yimatong.web.console import filters
from yimatong.web.page import Page

_HOURS: Final = range(24)
_REASONS_MAX: Final = 6


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """What happened on one Beijing day, in one scope. Hours are tuples of 24; money is fen."""

    day: date
    today: date
    issued: tuple[int, ...]
    verified: tuple[int, ...]
    refused: tuple[int, ...]
    opened: tuple[int, ...]
    reasons: tuple[tuple[str, int], ...]
    channels: tuple[ChannelTotal, ...]
    backlog: dict[str, int] | None


def current_day(page: Page) -> date:
    """Return the present Beijing day."""
    return business_date(page.now)


def wanted_day(page: Page) -> date:
    """Return the day asked for, today if none was."""
    return filters.day(page) or current_day(page)


async def numbers(tx: Connection, *, scope: Scope, day: date, today: date) -> Numbers:
    """Run the queries of a day. The backlog belongs to the platform and is None for one institution's people."""
    start, end = day_bounds(day)
    counts = await codes.counts_by_hour(tx, scope=scope, start=start, end=end)
    issued, verified, refused = [0] * 24, [0] * 24, [0] * 24
    reasons: Counter[str] = Counter()
    for count in counts:
        if count.event == "issued":
            issued[count.hour] += count.number
        elif count.result == "ok":
            verified[count.hour] += count.number
        else:
            refused[count.hour] += count.number
            reasons[count.result] += count.number
    channels = await orders.paid_by_channel(tx, scope=scope, start=start, end=end)
    opened = await accounts.opened_by_hour(tx, scope=scope, start=start, end=end)
    return Numbers(
        day=day,
        today=today,
        issued=tuple(issued),
        verified=tuple(verified),
        refused=tuple(refused),
        opened=tuple(opened.get(hour, 0) for hour in _HOURS),
        reasons=tuple(reasons.most_common()),
        channels=tuple(sorted(channels, key=lambda total: -total.paid_fen)),
        backlog=await outbox.counts(tx) if scope.all_rows else None,
    )


def context(page: Page, found: Numbers) -> dict[str, Any]:
    """Return what the template shows: the numbers, and the charts drawn from them."""
    labels = [f"{hour:02d}" for hour in _HOURS]
    code_series = [
        Series(name=page.text("home.issued"), style="s2", values=found.issued),
        Series(name=page.text("home.verified"), style="s1", values=found.verified),
        Series(name=page.text("home.refused"), style="s3", values=found.refused),
    ]
    opened = Series(name=page.text("home.opened"), style="s4", values=found.opened)
    return {
        "numbers": found,
        "labels": labels,
        "code_series": code_series,
        "opened": opened,
        "code_chart": charts.columns(
            identity="codes",
            title=page.text("home.codes"),
            description=", ".join(f"{line.name} {line.total:,}" for line in code_series),
            labels=labels,
            series=code_series,
        ),
        "opened_chart": charts.columns(
            identity="opened",
            title=page.text("home.opened"),
            description=f"{opened.name} {opened.total:,}",
            labels=labels,
            series=[opened],
        ),
        "reasons": [(code, reason_text(page, code), number) for code, number in found.reasons[:_REASONS_MAX]],
        "paid_orders": sum(total.orders for total in found.channels),
        "paid_fen": sum(total.paid_fen for total in found.channels),
        "before": (found.day - timedelta(days=1)).isoformat(),
        "after": (found.day + timedelta(days=1)).isoformat() if found.day < found.today else "",
    }


def reason_text(page: Page, code: str) -> str:
    """Return the message of a refusal's public code."""
    known = catalogue().get(code)
    return known().text(page.language) if known else code
