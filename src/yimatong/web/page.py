"""One request of a browser: its language, its session, its operator, its form token, and the transaction it runs in.

A route names the session that it needs (``session="card" | "cashier" | "kiosk" | "console"``), what it lets an
operator see (``permission="console:codes"``), and ``reads="personal"`` where it shows personal data. A POST without
the token of this browser's session is refused before anything is read. A route with ``upload=True`` finds its form in
``page.upload``, read without touching a disk.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency

from yimatong.access import operators, sessions
from yimatong.access.caller import PLATFORM, Caller, Scope
from yimatong.access.callers import Directory
from yimatong.access.errors import SessionEnded
from yimatong.access.operators import Operator
from yimatong.access.sessions import Session
from yimatong.cards.codes.schemas import VerifiedCode
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.crypto.vault import Vault
from yimatong.kit import audit, clock
from yimatong.kit.db import Connection, Database
from yimatong.kit.pages import LANGUAGES, Pages
from yimatong.kit.settings import Settings
from yimatong.kit.web import request_id_of
from yimatong.payments.desk import Desk
from yimatong.web import uploads
from yimatong.web.errors import FormNotGenuine
from yimatong.web.uploads import Upload

Found = TypeVar("Found")

LANGUAGE_COOKIE: Final = "ymt_lang"
FORM_COOKIE: Final = "ymt_form"
_YEAR_S = 365 * 24 * 3600


class SessionKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of browser session: its cookie, the folder it is sent to, how long it lives."""

    cookie: str
    path: str
    lifetime_s: int
    idle_s: int | None = None


KIOSK_S: Final = 24 * 3600
"""A kiosk's browser stays open for a day; its own program asks for a new link every morning."""

ReadCode = Callable[[Caller, str, str, datetime], Awaitable[VerifiedCode]]
"""Verifies a code in this process for (terminal, text, idempotency key, now), as the native API would."""

KINDS: Final = {
    "kiosk": SessionKind(cookie="ymt_kiosk", path="/kiosk", lifetime_s=KIOSK_S),
    "card": SessionKind(cookie="ymt_card", path="/card", lifetime_s=sessions.CARD_S),
    "cashier": SessionKind(cookie="ymt_cashier", path="/cashier", lifetime_s=sessions.CASHIER_S),
    "console": SessionKind(
        cookie="ymt_console", path="/console", lifetime_s=sessions.CONSOLE_S, idle_s=sessions.IDLE_S
    ),
}


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the assembly hands to the pages. ``audit_anchor`` is the file that the audit's seals are copied to."""

    settings: Settings
    db: Database
    vault: Vault
    pages: Pages
    desk: Desk | None = None
    directory: Directory | None = None
    read_code: ReadCode | None = None
    audit_anchor: Path | None = None

    @property
    def secure(self) -> bool:
        """Say whether the pages are reached over TLS, so that cookies are bound to it."""
        return self.settings.addresses.web.startswith("https://")


def language_of(request: Request[Any, Any, Any]) -> str:
    """Return the language asked for in the address, else the one kept in the cookie, else Chinese."""
    for wish in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if wish in LANGUAGES:
            return str(wish)
    return "zh"


class Page:
    """What a page handler receives."""

    def __init__(self, request: Request[Any, Any, Any], parts: Parts, *, now: datetime) -> None:
        """Read the request; the session comes by ``identify``."""
        self.request = request
        self.parts = parts
        self.db = parts.db
        self.vault = parts.vault
        self.now = now
        self.request_id = request_id_of(request)
        self.language = language_of(request)
        self.token = ""
        self.session: Session | None = None
        self.upload = Upload(fields={})
        self._operator: Operator | None = None
        self._cookies: list[Cookie] = []
        known = "route_handler" in request.scope  # not where the address is unknown
        self._opt: Mapping[str, Any] = request.route_handler.opt if known else {}

    async def identify(self) -> None:
        """Find the session (and the operator) that the route asks for, and check the token of a form.

        Raises:
            SessionEnded: no such session. NotPermitted: no role may see the page. FormNotGenuine: a foreign form.
        """
        kind = KINDS.get(str(self._opt.get("session", "")))
        if kind is not None:
            self.token = self.request.cookies.get(kind.cookie, "")
            if not self.token:
                raise SessionEnded
            async with self.db.transaction() as connection:
                self.session = await sessions.find(
                    connection, self.token, purpose=str(self._opt["session"]), now=self.now, idle_s=kind.idle_s
                )
                if self._opt["session"] == "console":
                    self._operator = await operators.find(connection, self.session.subject)
        if self._operator is not None:
            self._operator.require(str(self._opt["permission"]))
        if self.request.method != "GET":
            await self._check_form()

    @property
    def subject(self) -> str:
        """Return what the session stands for: a VUID, an order number or an operator id."""
        if self.session is None:
            raise SessionEnded
        return self.session.subject

    @property
    def operator(self) -> Operator:
        """Return the operator who is logged in."""
        if self._operator is None:
            raise SessionEnded
        return self._operator

    @property
    def scope(self) -> Scope:
        """Return whose rows the operator may see: one institution's, or all for the province's own people."""
        institution_id = self.operator.institution_id
        return PLATFORM if institution_id is None else Scope(institution_id=institution_id)

    @property
    def from_htmx(self) -> bool:
        """Say whether a part of a page was asked for."""
        return self.request.headers.get("hx-request") == "true"

    async def read(self, query: Callable[[Connection], Awaitable[Found]]) -> Found:
        """Run queries on one snapshot; where the route shows personal data, with an audit row."""
        if self._opt.get("reads") != "personal":
            async with self.db.read() as connection:
                return await query(connection)
        return await self.write(query)

    async def write(self, verb: Callable[[Connection], Awaitable[Found]]) -> Found:
        """Run a verb in one transaction with its audit row."""
        async with self.db.transaction() as connection:
            done = await verb(connection)
            await self._audit(connection)
            return done

    async def _audit(self, connection: Connection) -> None:
        await audit.record(
            connection,
            actor=self.actor,
            institution_id=self._operator.institution_id if self._operator else None,
            action=str(self._opt["permission"]),
            object_kind="page",
            object_id=self.request.url.path,
            request_id=self.request_id,
            now=self.now,
        )

    @property
    def actor(self) -> str:
        """Return who acts, for the audit: an operator's id, else the kind of page and its subject."""
        if self._operator is not None:
            return self._operator.operator_id
        return f"{self._opt.get('session', 'visitor')}:{self.session.subject if self.session else ''}"

    def form_token(self) -> str:
        """Return the token for this page's forms, bound to the session, or to a cookie of its own before a login."""
        bound = self.token or self.request.cookies.get(FORM_COOKIE, "")
        if not bound:
            bound = secrets.token_urlsafe(24)
            self._cookies.append(self.cookie(FORM_COOKIE, bound, path="/", max_age=None))
        return self._token_for(bound)

    def _token_for(self, bound: str) -> str:
        key = bytes.fromhex(self.parts.settings.web_session_key)
        return hmac_sm3(key, b"form:" + bound.encode()).hex()

    async def _check_form(self) -> None:
        given = self.request.headers.get("x-form-token", "")
        if self._opt.get("upload"):
            most = self.parts.settings.upload_bytes_max
            self.upload = await uploads.read(
                self.request, bytes_max=most, admit=lambda token: self._require_genuine(given or token)
            )
            return
        self._require_genuine(given or str((await self.request.form()).get("form_token", "")))

    def _require_genuine(self, given: str) -> None:
        bound = self.token or self.request.cookies.get(FORM_COOKIE, "")
        same = hmac.compare_digest(self._token_for(bound).encode(), given.encode())
        if not bound or not same or self._foreign_origin():
            raise FormNotGenuine

    def _foreign_origin(self) -> bool:
        origin = self.request.headers.get("origin", "")
        return bool(origin) and urlsplit(origin).netloc != self.request.headers.get("host", "")

    def cookie(self, name: str, value: str, *, path: str, max_age: int | None) -> Cookie:
        """Return a cookie that scripts cannot read and other sites cannot send."""
        return Cookie(
            key=name,
            value=value,
            path=path,
            max_age=max_age,
            httponly=True,
            samesite="lax",
            secure=self.parts.secure,
        )

    def session_cookie(self, purpose: str, token: str) -> Cookie:
        """Return the cookie of a new session; an empty token takes it back."""
        kind = KINDS[purpose]
        return self.cookie(kind.cookie, token, path=kind.path, max_age=kind.lifetime_s if token else 0)

    def html(self, template: str, *, status: int = 200, **context: object) -> Response[str]:
        """Render a page or a part of one."""
        content = self.parts.pages.render(template, self.language, **self._common(), **context)
        if self.request.query_params.get("lang") in LANGUAGES:
            self._cookies.append(self.cookie(LANGUAGE_COOKIE, self.language, path="/", max_age=_YEAR_S))
        return Response(
            content,
            status_code=status,
            media_type="text/html; charset=utf-8",
            cookies=self._cookies,
            headers={"content-language": "en" if self.language == "en" else "zh-CN"},
        )

    def text(self, key: str, /, **facts: object) -> str:
        """Return a text of the pages in the reader's language."""
        return self.parts.pages.texts.text(self.language, key, **facts)

    def go(self, address: str, *cookies: Cookie) -> Response[None]:
        """Send the browser to another page of ours."""
        return Response(None, status_code=303, headers={"location": address}, cookies=[*self._cookies, *cookies])

    def _common(self) -> dict[str, object]:
        other = "zh" if self.language == "en" else "en"
        url = self.request.url
        kind = KINDS.get(str(self._opt.get("session", "")))
        path = kind.path if kind and self.request.method != "GET" else url.path
        query = "&".join(part for part in url.query.split("&") if part and not part.startswith("lang="))
        return {
            "form_token": self.form_token(),
            "operator": self._operator,
            "path": url.path,
            "request_id": self.request_id,
            "now": self.now,
            "demonstration": not self.parts.settings.production,
            "switch_address": f"{path}?{query + '&' if query else ''}lang={other}",
        }


async def provide_page(request: Request[Any, Any, Any], parts: NamedDependency[Parts]) -> Page:
    """Dependency of every page handler: the page with its session found and its form checked."""
    page = Page(request, parts, now=clock.now())
    await page.identify()
    return page
