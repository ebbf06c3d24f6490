"""The console: login and logout, the day's numbers, and the lists that the operator's roles open."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import operators, sessions
from yimatong.access.errors import LoginLocked, LoginRefused
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.web.console import (
    accounts,
    audits,
    batches,
    books,
    channels,
    channels_acts,
    disputes,
    domains,
    keys,
    live,
    parked,
    persons,
    persons_search,
    physical,
    policies,
    records,
    rules,
    rules_acts,
    rules_models,
    rules_pairs,
    services,
    statistics,
    stewards,
    stewards_acts,
    stewards_checks,
    stewards_metrics,
    stewards_review,
    today,
)
from yimatong.web.console.menu import shell
from yimatong.web.page import KINDS, Page


@get("/", permission="console:login", opt={"public": True}, include_in_schema=False)
async def front_door(page: NamedDependency[Page]) -> Response[None]:
    """Lead whoever types the bare address to the console."""
    return page.go("/console")


@get("/console/login", permission="console:login", opt={"public": True}, include_in_schema=False)
async def show_login(page: NamedDependency[Page]) -> Response[str]:
    """Show the login form."""
    note = "ended" if page.request.query_params.get("ended") else "out" if page.request.query_params.get("out") else ""
    return _login(page, note=note)


@post("/console/login", permission="console:login", opt={"public": True}, status_code=200, include_in_schema=False)
async def log_in(page: NamedDependency[Page]) -> Response[Any]:
    """Check login and password and open a console session; every try leaves an audit row."""
    form = await page.request.form()
    login, password = str(form.get("login", ""))[:64], str(form.get("password", ""))[:256]
    try:
        operator = await operators.log_in(page.db, login=login, password=password, now=page.now)
    except (LoginRefused, LoginLocked) as error:
        async with page.db.transaction() as tx:
            await _note(tx, page, actor="visitor", login=login, result=error.code)
        return _login(page, login=login, error=error.text(page.language), code=error.code, status=error.status)
    async with page.db.transaction() as tx:
        before = page.request.cookies.get(KINDS["console"].cookie)
        if before:
            await sessions.close_session(tx, before)
        token = await sessions.open_session(
            tx,
            subject=operator.operator_id,
            purpose="console",
            lifetime_s=KINDS["console"].lifetime_s,
            now=page.now,
        )
        await _note(tx, page, actor=operator.operator_id, login=login, result="ok")
    return page.go(_own_address(str(form.get("next", ""))), page.session_cookie("console", token))


@post("/console/logout", session="console", permission="console:home", status_code=200, include_in_schema=False)
async def log_out(page: NamedDependency[Page]) -> Response[None]:
    """End the session for good."""
    await page.write(lambda tx: sessions.close_session(tx, page.token))
    return page.go("/console/login?out=1", page.session_cookie("console", ""))


@get("/console", session="console", permission="console:home", include_in_schema=False)
async def show_home(page: NamedDependency[Page]) -> Response[str]:
    """Show a day's numbers."""
    day = today.wanted_day(page)
    numbers = await page.read(lambda tx: today.numbers(tx, scope=page.scope, day=day, today=today.current_day(page)))
    return page.html("console/home.html", **shell(page, "home"), **today.context(page, numbers))


def _login(
    page: Page, *, note: str = "", login: str = "", error: str = "", code: str = "", status: int = 200
) -> Response[str]:
    wish = _own_address(page.request.query_params.get("next", ""))
    return page.html(
        "console/login.html", status=status, note=note, login=login, error=error, code=code, next_address=wish
    )


def _own_address(address: str) -> str:
    """Return where to go after the login: a page of the console, never another site."""
    fine = address.startswith("/console/") and not set(address) & set("\\\r\n") and "//" not in address
    return address if fine and not address.startswith("/console/login") else "/console"


async def _note(tx: Connection, page: Page, *, actor: str, login: str, result: str) -> None:
    await audit.record(
        tx,
        actor=actor,
        action="console:login",
        object_kind="login",
        object_id=login,
        request_id=page.request_id,
        now=page.now,
        result=result,
    )


ROUTES = [
    front_door,
    show_login,
    log_in,
    log_out,
    show_home,
    *stewards.ROUTES,
    *stewards_metrics.ROUTES,
    *stewards_review.ROUTES,
    *stewards_acts.ROUTES,
    *stewards_checks.ROUTES,
    *persons_search.ROUTES,
    *persons.ROUTES,
    *statistics.ROUTES,
    *domains.ROUTES,
    *rules.ROUTES,
    *rules_acts.ROUTES,
    *rules_pairs.ROUTES,
    *rules_models.ROUTES,
    *accounts.ROUTES,
    *records.ROUTES,
    *live.ROUTES,
    *physical.ROUTES,
    *batches.ROUTES,
    *books.ROUTES,
    *disputes.ROUTES,
    *channels.ROUTES,
    *channels_acts.ROUTES,
    *services.ROUTES,
    *parked.ROUTES,
    *policies.ROUTES,
    *keys.ROUTES,
    *audits.ROUTES,
]
