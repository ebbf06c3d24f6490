"""Payment channels (支付渠道): hospitals' merchant accounts, how each answers, which keys are in use, what is proposed.

Everybody with the page sees how the channels stand; an institution's own people see their own accounts. No secret ever
reaches a page: keys are named, and public ones have a fingerprint.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from markupsafe import Markup

from yimatong.access import callers, operators
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal
from yimatong.kit.pages import clock_time
from yimatong.payments.administration import queries as administration
from yimatong.payments.health import queries as health
from yimatong.payments.health.schemas import AccountHealth, Minute
from yimatong.web import charts
from yimatong.web.charts import Series
from yimatong.web.console import filters, hospitals
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

PATH: Final = "/console/channels"
SEE, SET, APPROVE = "console:channels", "console:channels-set", "console:channels-approve"
SHOWN: Final = ("hidden", "off")
MINUTES: Final = 60


@get(PATH, session="console", permission=SEE, include_in_schema=False)
async def show_channels(page: NamedDependency[Page]) -> Response[str]:
    """Show merchant accounts with an hour of their answers; for administrators what is proposed, and the forms."""
    return await channels_page(page)


async def channels_page(
    page: Page, *, refusal: Refusal | None = None, form: dict[str, str] | None = None
) -> Response[str]:
    """Return the list; a refusal is told above it, and the form keeps what was typed."""
    known = known_channels(page)
    wanted = {
        "institution": filters.words(page, "institution"),
        "channel": filters.choice(page, "channel", known),
        "show": filters.choice(page, "show", SHOWN),
    }
    start = _start(page)

    async def look(tx: Connection) -> dict[str, Any]:
        which = await hospitals.typed(tx, page)
        found = await health.of(
            tx, scope=page.scope, now=page.now, institution_id=which.institution_id, channel=wanted["channel"]
        )
        rows = [each for each in found.accounts if fits(each, wanted["show"])]
        here = rows[start : start + filters.PAGE_ROWS]
        minutes = await health.minutes(tx, {each.account_id for each in here}, since=health.ago(page.now, MINUTES))
        proposed = await administration.proposed(tx) if page.scope.all_rows else []
        ids = {each.institution_id for each in here} | {each.institution_id for each in proposed}
        return {
            "rows": here,
            "which": which,
            "total": len(rows),
            "hidden": sum(each.hidden for each in found.accounts),
            "following": filters.address(PATH, **wanted, start=str(start + filters.PAGE_ROWS))
            if len(rows) > start + filters.PAGE_ROWS
            else "",
            "pictures": {each.account_id: picture(page, each, minutes.get(each.account_id, [])) for each in here},
            "proposed": proposed,
            "names": await callers.names(tx, ids),
            "people": await operators.names(tx, {each.proposer_id for each in proposed}),
        }

    return page.html(
        "console/channels.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "channels"),
        **await page.read(look),
        wanted=wanted,
        known=known,
        shown=SHOWN,
        first=filters.address(PATH, **wanted) if start else "",
        form=form or {},
        **may(page),
        refusal=refusal.text(page.language) if refusal else "",
        refused=refusal.code if refusal else "",
    )


@get(f"{PATH}/{{account_id:str}}", session="console", permission=SEE, include_in_schema=False)
async def show_account(account_id: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show one merchant account: facts, keys by name, an hour minute by minute."""
    return await account_page(page, account_id)


async def account_page(page: Page, account_id: str, *, refusal: Refusal | None = None) -> Response[str]:
    """Return one account's page; a refusal is told above it."""

    async def look(tx: Connection) -> dict[str, Any]:
        account = await administration.find(tx, page.vault, account_id, scope=page.scope)
        found = await health.of(
            tx, scope=page.scope, now=page.now, institution_id=account.institution_id, channel=account.channel
        )
        minutes = await health.minutes(tx, {account_id}, since=health.ago(page.now, MINUTES))
        return {
            "account": account,
            "stand": found.accounts[0],
            "minutes": minutes.get(account_id, []),
            "institution": await callers.institution_name(tx, account.institution_id),
        }

    found = await page.read(look)
    return page.html(
        "console/channel.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "channels"),
        **found,
        **_charts(page, found["minutes"]),
        **may(page),
        refusal=refusal.text(page.language) if refusal else "",
        refused=refusal.code if refusal else "",
    )


def fits(stand: AccountHealth, show: str) -> bool:
    """Say whether an account belongs to what was asked for."""
    return {"hidden": stand.hidden, "off": stand.state == "off"}.get(show, True)


def may(page: Page) -> dict[str, bool]:
    """Say what the operator may do here: only the province's own people change anything."""
    allowed = page.operator.permissions if page.scope.all_rows else frozenset[str]()
    return {"may_set": SET in allowed, "may_approve": APPROVE in allowed}


def known_channels(page: Page) -> tuple[str, ...]:
    """Return the payment channels that the platform has."""
    return tuple(page.parts.desk.channels) if page.parts.desk else ()


def picture(page: Page, stand: AccountHealth, counted: list[Minute]) -> Markup:
    """Return the last hour of an account, small."""
    series = _series(page, counted)
    return charts.spark(
        identity=f"h-{stand.account_id}",
        title=page.text("chan.hour"),
        description=page.text("chan.hour.told", ok=series[0].total, refused=series[1].total, silent=series[2].total),
        series=series,
    )


def _series(page: Page, counted: list[Minute]) -> list[Series]:
    by_minute = {each.minute: each for each in counted}
    nothing = Minute(minute=page.now, ok=0, refused=0, silent=0, ms_sum=0, ms_max=0)
    all_of = [by_minute.get(minute, nothing) for minute in _axis(page.now)]
    return [
        Series(name=page.text(f"chan.{key}"), style=style, values=tuple(getattr(each, name) for each in all_of))
        for name, key, style in (("ok", "ok", "s1"), ("refused", "refused_call", "s5"), ("silent", "silent", "s3"))
    ]


def _charts(page: Page, counted: list[Minute]) -> dict[str, Any]:
    series = _series(page, counted)
    labels = [clock_time(minute)[:5] for minute in _axis(page.now)]
    by_minute = {each.minute: each for each in counted}
    means, most = [], []
    for minute in _axis(page.now):
        each = by_minute.get(minute)
        number = each.ok + each.refused + each.silent if each else 0
        means.append(each.ms_sum // number if each and number else 0)
        most.append(each.ms_max if each else 0)
    lines = [
        Series(name=page.text("chan.mean"), style="s1", values=tuple(means)),
        Series(name=page.text("chan.most"), style="s3", values=tuple(most)),
    ]
    return {
        "series": series,
        "answers": charts.columns(
            identity="answers",
            title=page.text("chan.hour"),
            description=page.text(
                "chan.hour.told", ok=series[0].total, refused=series[1].total, silent=series[2].total
            ),
            labels=labels,
            series=series,
        ),
        "lines": lines,
        "latency": charts.lines(
            identity="latency",
            title=page.text("chan.latency"),
            description=page.text("chan.latency.told", most=max(most)),
            labels=[labels[0], labels[MINUTES // 2], labels[-1]],
            series=lines,
        ),
    }


def _axis(now: datetime) -> list[datetime]:
    """Return the whole minutes of the last hour; the one that runs is shown when it is over."""
    start = health.ago(now, MINUTES)
    return [start + timedelta(minutes=number) for number in range(MINUTES)]


def _start(page: Page) -> int:
    text = filters.words(page, "start")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0  # noqa: PLR2004 -- rows of a list


ROUTES = [show_channels, show_account]
