"""What every page of a kiosk asks: which terminal this is, who was read, and what to say of an error."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Response

from yimatong.access.caller import Caller
from yimatong.access.callers import KnownCaller
from yimatong.cards.errors import (
    AccountFrozen,
    ApplyAtCounter,
    CardNotApplied,
    CertificateUnreadable,
    CodeExpired,
    CodeUnreadable,
    CodeUsed,
)
from yimatong.cards.labels import kiosk
from yimatong.cards.labels.kiosk import Found, Kiosk
from yimatong.cards.labels.schemas import LabelOf
from yimatong.empi.errors import PersonDisagrees
from yimatong.kit.db import Connection
from yimatong.kit.errors import NotFound, PlatformError
from yimatong.web.errors import FilterInvalid
from yimatong.web.failures import advice_for
from yimatong.web.page import Page

START_S: Final = 60
"""A page that nobody touches goes back to the start after a minute."""
LINE_MAX: Final = 2200
_CODE_MAX: Final = 400
_KEY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SERVER_SIDE: Final = 500
_ADVICE: Final[tuple[tuple[type[PlatformError], str], ...]] = (
    (CertificateUnreadable, "kiosk.advice.certificate"),
    (CardNotApplied, "kiosk.advice.apply"),
    (ApplyAtCounter, "kiosk.advice.window"),
    (PersonDisagrees, "kiosk.advice.counter"),
    (AccountFrozen, "kiosk.advice.frozen"),
    (CodeExpired, "kiosk.advice.refresh"),
    (CodeUsed, "kiosk.advice.refresh"),
    (CodeUnreadable, "kiosk.advice.unreadable"),
)


def this_kiosk(page: Page) -> Kiosk:
    """Return what the browser's session stands for."""
    return kiosk.kiosk_of(page.subject)


async def known(page: Page) -> KnownCaller:
    """Return the terminal that this browser belongs to, with its key, as long as it is approved.

    Raises:
        CallerUnknown, CallerNotApproved, NotPermitted.
    """
    directory = page.parts.directory
    if directory is None:
        raise NotFound
    found = await directory.get(this_kiosk(page).caller_id)
    found.require_approved()
    found.caller.require("labels:print")
    return found


async def terminal(page: Page) -> Caller:
    """Return the terminal itself; errors as ``known``."""
    return (await known(page)).caller


async def find(page: Page, line: str, key: str) -> Found:
    """Find whoever the reader's line stands for: a certificate's, or a code's, which is verified and used up."""
    own, read_code = await known(page), page.parts.read_code
    caller = own.caller
    line = line.strip()[:LINE_MAX]
    if kiosk.is_certificate(line):
        read = kiosk.certificate_of(line, key=own.key, now=page.now)

        async def look(tx: Connection) -> Found:
            return await kiosk.by_certificate(tx, page.vault, read, caller=caller, now=page.now)

        return await page.write(look)
    if read_code is None or not 0 < len(line) <= _CODE_MAX:
        raise CodeUnreadable
    verified = await read_code(caller, line, key, page.now)
    whose = LabelOf(vuid=verified.vuid, verification_id=verified.record_id)
    return Found(whose=whose, name=kiosk.masked_name(verified.resident.name))


def key_of(form: Any) -> str:
    """Return the key that makes a form sent twice the same as once.

    Raises:
        FilterInvalid: none that we made.
    """
    key = str(form.get("key", ""))
    if not _KEY.fullmatch(key):
        raise FilterInvalid(detail="key")
    return key


def problem(page: Page, error: PlatformError, way: str) -> Response[str]:
    """Show an error, and the way back to the reader."""
    return page.html("kiosk/problem.html", status=error.status, way=way, start_s=START_S // 2, **words(page, error))


def words(page: Page, error: PlatformError) -> dict[str, Any]:
    """Return what to say of an error: what it is, and what to do next at this machine."""
    own = next((key for kind, key in _ADVICE if isinstance(error, kind)), "")
    ours = error.status >= _SERVER_SIDE or error.retryable
    advice = own or (advice_for(error) if ours else "kiosk.advice.counter")
    return {"message": error.text(page.language), "advice": advice, "code": error.code}
