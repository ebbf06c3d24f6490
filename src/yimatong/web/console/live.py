"""The live picture of codes: uses per second, refusals, slow and busy institutions, open alarms, by server-sent events.

One poller a process and scope asks the database every two seconds while anybody watches, and only for the seconds that
are new; every viewer gets the same rendered part. A stream ends with the session's idle time: a screen on the wall does
not keep its operator logged in for ever.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage

from yimatong.access import callers, sessions
from yimatong.access.caller import Scope
from yimatong.cards.records import queries
from yimatong.cards.records.schemas import Standing
from yimatong.kit import alarms
from yimatong.kit.alarms import Alarm
from yimatong.kit.db import Database
from yimatong.kit.errors import DatabaseUnavailable
from yimatong.kit.pages import clock_time
from yimatong.web import charts
from yimatong.web.charts import Series
from yimatong.web.console.menu import shell
from yimatong.web.console.today import reason_text
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import KINDS, Page

PICTURE_S: Final = 300
TICK_S: Final = 2.0
_STANDING_EVERY: Final = 5
_LATE_S: Final = 3
"""A batch stores with the time of its requests: the last seconds are counted again."""
_YOUNG_S: Final = 2
"""The picture ends so much before now: a second is shown when it is whole."""
_SHOWN: Final = 8
_CHECK_EVERY: Final = 15
_PATH: Final = "/console/live"


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What viewers are shown; ``away`` says that the database did not answer and the numbers are those of ``at``."""

    at: datetime
    accepted: tuple[int, ...]
    refused: tuple[int, ...]
    issued: tuple[int, ...]
    failures: tuple[tuple[str, int], ...]
    slowest: tuple[Standing, ...]
    busiest: tuple[Standing, ...]
    p95_ms: int | None
    names: dict[str, str]
    open_alarms: tuple[Alarm, ...]
    away: bool = False


class Poller:
    """Asks the database for one scope; ``look`` gives the newest picture, ``tick`` waits for the next."""

    def __init__(self, db: Database, scope: Scope) -> None:
        """Start with nothing known."""
        self._db = db
        self._scope = scope
        self._seconds: dict[datetime, Counter[tuple[str, str]]] = {}
        self._standing: list[Standing] = []
        self._asked: datetime | None = None
        self._ticks = 0
        self._busy = asyncio.Lock()
        self.latest: Pulse | None = None

    async def look(self, now: datetime) -> Pulse:
        """Return a picture that is at most a tick old; whoever comes first asks, the others wait for its answer.

        Raises:
            DatabaseUnavailable: away, and nothing is known from before.
        """
        async with self._busy:
            if self.latest is not None and now - self.latest.at < timedelta(seconds=TICK_S):
                return self.latest
            try:
                self.latest = await self._ask(now)
            except DatabaseUnavailable:
                if self.latest is None:
                    raise
                return msgspec.structs.replace(self.latest, away=True)
            return self.latest

    async def _ask(self, now: datetime) -> Pulse:
        oldest = now.replace(microsecond=0) - timedelta(seconds=PICTURE_S + _YOUNG_S)
        since = max(oldest, self._asked - timedelta(seconds=_LATE_S)) if self._asked else oldest
        since = since.replace(microsecond=0)
        async with self._db.read() as tx:
            rows = await queries.by_second(tx, scope=self._scope, since=since, until=now)
            if self._ticks % _STANDING_EVERY == 0:
                self._standing = await queries.standing(tx, scope=self._scope, now=now)
            ids = {each.institution_id for each in self._standing if each.institution_id}
            names = await callers.names(tx, ids)
            raised = await alarms.alarms(tx, limit=20) if self._scope.all_rows else ()
        self._ticks += 1
        self._asked = now
        self._seconds = {second: found for second, found in self._seconds.items() if oldest <= second < since}
        for second, event, result, number in rows:
            self._seconds.setdefault(second, Counter())[event, result] += number
        return self._picture(now, oldest, names, tuple(raised))

    def _picture(self, now: datetime, oldest: datetime, names: dict[str, str], raised: tuple[Alarm, ...]) -> Pulse:
        seconds = [self._seconds.get(oldest + timedelta(seconds=n), Counter()) for n in range(PICTURE_S)]
        failures: Counter[str] = Counter()
        for found in seconds:
            for (event, result), number in found.items():
                if event == "verified" and result != "ok":
                    failures[result] += number
        own = [each for each in self._standing if each.institution_id != ""]
        slow = sorted((each for each in own if each.p95_ms is not None), key=lambda each: -(each.p95_ms or 0))
        return Pulse(
            at=now,
            accepted=tuple(found["verified", "ok"] for found in seconds),
            refused=tuple(
                sum(n for (event, result), n in found.items() if event == "verified" and result != "ok")
                for found in seconds
            ),
            issued=tuple(sum(n for (event, _), n in found.items() if event == "issued") for found in seconds),
            failures=tuple(failures.most_common(_SHOWN)),
            slowest=tuple(slow[:_SHOWN]),
            busiest=tuple(sorted(own, key=lambda each: -each.number)[:_SHOWN]),
            p95_ms=next((each.p95_ms for each in self._standing if each.institution_id == ""), None),
            names=names,
            open_alarms=raised,
        )


class Pollers:
    """The pollers of one process by what they may see, and the parts rendered from their newest picture."""

    def __init__(self) -> None:
        """Start without any."""
        self._by_scope: dict[tuple[int, str], Poller] = {}
        self._rendered: deque[tuple[tuple[int, str], Pulse, str]] = deque(maxlen=8)

    def of(self, page: Page) -> Poller:
        """Return the poller of an operator's scope."""
        key = (id(page.db), page.scope.institution_id or "")
        if key not in self._by_scope:
            self._by_scope[key] = Poller(page.db, page.scope)
        return self._by_scope[key]

    def render(self, page: Page, pulse: Pulse) -> str:
        """Return the part of the page for a picture, made once for all viewers of a language."""
        key = (0, page.language)
        for known, of, part in self._rendered:
            if known == key and of is pulse:
                return part
        part = page.parts.pages.render("console/live_part.html", page.language, **context(page, pulse))
        self._rendered.append((key, pulse, part))
        return part


_POLLERS: Final = Pollers()


def context(page: Page, pulse: Pulse) -> dict[str, Any]:
    """Return what the part shows."""
    series = [
        Series(name=page.text("live.accepted"), style="s1", values=pulse.accepted),
        Series(name=page.text("live.refused"), style="s3", values=pulse.refused),
        Series(name=page.text("live.issued"), style="s2", values=pulse.issued),
    ]
    minutes = [
        (
            clock_time(pulse.at - timedelta(seconds=PICTURE_S - start)),
            [sum(line.values[start : start + 60]) for line in series],
        )
        for start in range(0, PICTURE_S, 60)
    ]
    last = [line.values[-10:] for line in series[:2]]
    return {
        "pulse": pulse,
        "series": series,
        "minutes": minutes,
        "rate": f"{sum(map(sum, last)) / 10:.1f}",
        "minute_number": sum(sum(line.values[-60:]) for line in series[:2]),
        "minute_refused": sum(pulse.refused[-60:]),
        "chart": charts.lines(
            identity="rate",
            title=page.text("live.rate"),
            description=", ".join(f"{line.name} {line.total:,}" for line in series),
            labels=[clock_time(pulse.at - timedelta(seconds=ago)) for ago in (PICTURE_S, 150, 0)],
            series=series,
        ),
        "reasons": [(code, reason_text(page, code), number) for code, number in pulse.failures],
        "name_of": lambda key: pulse.names.get(key, key) if key else page.text("live.no_institution"),
    }


@get(_PATH, session="console", permission="console:live", include_in_schema=False)
async def show_live(page: NamedDependency[Page]) -> Response[str]:
    """Show the picture of this moment; the script keeps it up to date."""
    pulse = await _POLLERS.of(page).look(page.now)
    return page.html("console/live.html", **shell(page, "live"), **context(page, pulse))


@get(f"{_PATH}/part", session="console", permission="console:live", include_in_schema=False)
async def show_part(page: NamedDependency[Page]) -> Response[str]:
    """Answer the part alone, for a browser that lost its stream."""
    pulse = await _POLLERS.of(page).look(page.now)
    return Response(_POLLERS.render(page, pulse), media_type="text/html; charset=utf-8")


@get(f"{_PATH}/stream", session="console", permission="console:live", include_in_schema=False)
async def stream(page: NamedDependency[Page]) -> ServerSentEvent:
    """Send the part every two seconds until the session's idle time is over or the session ends."""
    return ServerSentEvent(_events(page), headers={"x-accel-buffering": "no"})


async def _events(page: Page) -> AsyncIterator[ServerSentEventMessage]:
    begun = asyncio.get_running_loop().time()
    poller, sent, ticks = _POLLERS.of(page), None, 0
    while (elapsed := asyncio.get_running_loop().time() - begun) < (KINDS["console"].idle_s or PICTURE_S):
        now = page.now + timedelta(seconds=elapsed)
        try:
            pulse = await poller.look(now)
            if ticks % _CHECK_EVERY == _CHECK_EVERY - 1 and not await _still(page, now):
                break
        except DatabaseUnavailable:
            pulse = None
        if pulse is not None and pulse is not sent and not pulse.away:
            yield ServerSentEventMessage(event="pulse", data=_POLLERS.render(page, pulse))
            sent = pulse
        else:
            yield ServerSentEventMessage(comment="waiting")
        ticks += 1
        await asyncio.sleep(TICK_S)
    yield ServerSentEventMessage(event="ended", data="ended")


async def _still(page: Page, now: datetime) -> bool:
    """Say whether the session is still open, without counting as a use of it."""
    async with page.db.read() as tx:
        return await sessions.is_open(tx, page.token, purpose="console", now=now)


@post(f"{_PATH}/acknowledge", session="console", permission="console:live", status_code=200, include_in_schema=False)
async def acknowledge(page: NamedDependency[Page]) -> Response[None]:
    """Note that this operator saw an alarm. Only the province's own people see alarms.

    Raises:
        FilterInvalid: no number. AlarmNotOpen: somebody else was faster.
    """
    number = str((await page.request.form()).get("alarm", ""))
    if not number.isascii() or not number.isdigit() or len(number) > 18 or not page.scope.all_rows:  # noqa: PLR2004 -- a bigint
        raise FilterInvalid(detail="alarm")
    await page.write(
        lambda tx: alarms.acknowledge(tx, int(number), operator_id=page.operator.operator_id, now=page.now)
    )
    return page.go(_PATH)


ROUTES = [show_live, show_part, stream, acknowledge]
