"""The kiosk: apply for a card; by certificate or by code to a printed label; sheets at a clinic's own desk.

Readers are keyboard wedges: they type a line into the one field of the page, with a line end. Nothing that identifies a
resident stands in an address, and every page goes back to the start by itself.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from markupsafe import Markup

from yimatong.access import sessions
from yimatong.access.caller import Caller
from yimatong.cards.errors import CardNotApplied, SheetFull
from yimatong.cards.labels import kiosk
from yimatong.cards.labels.kiosk import Found
from yimatong.cards.labels.schemas import LABELS_MAX, LabelOf
from yimatong.cards.labels.service import Printing
from yimatong.kit.db import Connection
from yimatong.kit.errors import NotFound, PlatformError
from yimatong.kit.masking import IdNumber
from yimatong.standards.codes import CERTIFICATE_TYPES
from yimatong.web.errors import FilterInvalid
from yimatong.web.kiosk import paying
from yimatong.web.kiosk.terminal import LINE_MAX, START_S, find, key_of, known, problem, terminal, this_kiosk, words
from yimatong.web.page import KINDS, Page

WAYS: Final = ("certificate", "code")
APPLY: Final = "apply"
SHEETS: Final = ("a4_65", "a4_40", "a4_24", "a4_21")
PHONE: Final = re.compile(r"1[3-9][0-9]{9}", re.ASCII)
"""The phone at a kiosk is a mobile of the mainland: 11 digits can be checked while they are tapped."""

_ENTRY: Final = re.compile(r"([0-9A-F]{64})\|([A-Za-z0-9_]{0,64})\|([^|]{1,60})")
_HELD_MAX: Final = 8000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a sheet that is being gathered; ``text`` is what its hidden field carries."""

    found: Found
    text: str


@get("/kiosk/open/{link:str}", permission="kiosk:open", opt={"public": True}, include_in_schema=False)
async def open_kiosk(link: FromPath[str], page: NamedDependency[Page]) -> Response[None]:
    """Use up the terminal's link and keep this browser open for the day."""
    token = await page.write(
        lambda tx: sessions.open_link(tx, link, purpose="kiosk", lifetime_s=KINDS["kiosk"].lifetime_s, now=page.now)
    )
    return page.go("/kiosk", page.session_cookie("kiosk", token))


@get("/kiosk", session="kiosk", permission="kiosk:show", include_in_schema=False)
async def show_start(page: NamedDependency[Page]) -> Response[str]:
    """Show what can be done here; the last resident's cashier is forgotten."""
    caller = await terminal(page)
    shown = page.html(
        "kiosk/start.html",
        kiosk=this_kiosk(page),
        ways=WAYS,
        applying="accounts:register" in caller.permissions,
        paying=paying.offered(page, caller),
    )
    shown.cookies.append(page.session_cookie("cashier", ""))
    return shown


@get("/kiosk/scan/{way:str}", session="kiosk", permission="kiosk:show", include_in_schema=False)
async def show_scan(way: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Wait for the reader."""
    caller = await terminal(page)
    actions = dict.fromkeys(WAYS, "/kiosk/label")
    if "accounts:register" in caller.permissions:
        actions[APPLY] = "/kiosk/apply"
    if paying.offered(page, caller):
        actions[paying.WAY] = "/kiosk/pay"
    if way not in actions:
        raise NotFound
    return page.html("kiosk/scan.html", way=way, action=actions[way], key=secrets.token_hex(16), start_s=START_S)


@post("/kiosk/label", session="kiosk", permission="kiosk:print", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def print_one(page: NamedDependency[Page]) -> Response[str]:
    """Print the label of whoever's certificate or code was read; the same form again shows the same label."""
    form = await page.request.form()
    key, way = key_of(form), str(form.get("way", ""))
    try:
        found = await find(page, str(form.get("line", "")), key)
        return await _label(page, found.whose, key, applied=False)
    except PlatformError as error:
        return problem(page, error, way if way in WAYS else "code")


@post("/kiosk/apply", session="kiosk", permission="kiosk:apply", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def begin_application(page: NamedDependency[Page]) -> Response[str]:
    """Take the certificate that lies on the reader, and ask for the phone; whoever has a card is told so."""
    form = await page.request.form()
    key = key_of(form)
    try:
        caller = await _applying(page)
        line, key_of_terminal = str(form.get("line", "")).strip()[:LINE_MAX], (await known(page)).key
        read = kiosk.certificate_of(line, key=key_of_terminal, now=page.now)
        application = kiosk.application_of(read, now=page.now)
        with contextlib.suppress(CardNotApplied):
            found = await page.write(lambda tx: kiosk.by_certificate(tx, page.vault, read, caller=caller, now=page.now))
            return page.html("kiosk/known.html", name=found.name, start_s=START_S // 2)
    except PlatformError as error:
        return problem(page, error, APPLY)
    return await _ask_phone(page, application, key, caller=caller)


@post("/kiosk/apply/confirm", session="kiosk", permission="kiosk:apply", status_code=200, include_in_schema=False)
async def confirm_application(page: NamedDependency[Page]) -> Response[str]:
    """Show what will be applied for; a phone that cannot be one is asked for again, and so is one to be mended."""
    form = await page.request.form()
    key, phone = key_of(form), re.sub(r"[\s-]", "", str(form.get("phone", "")))[:20]
    try:
        caller = await _applying(page)
        application = await kiosk.held(page.vault, str(form.get("held", ""))[:_HELD_MAX], caller=caller, now=page.now)
    except PlatformError as error:
        return problem(page, error, APPLY)
    again = bool(form.get("again"))
    if again or not PHONE.fullmatch(phone):
        return await _ask_phone(page, application, key, caller=caller, phone=phone, wrong=not again)
    application = msgspec.structs.replace(application, phone=phone)
    return page.html(
        "kiosk/confirm.html",
        held=await kiosk.hold(page.vault, application, caller=caller),
        key=key,
        phone=phone,
        start_s=START_S * 2,
        **_who(page, application),
    )


@post("/kiosk/apply/done", session="kiosk", permission="kiosk:apply", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def finish_application(page: NamedDependency[Page]) -> Response[str]:
    """Register the applicant by the certificate that was read, and print the label; twice is the same as once."""
    form = await page.request.form()
    key = key_of(form)
    try:
        caller = await _applying(page)
        application = await kiosk.held(page.vault, str(form.get("held", ""))[:_HELD_MAX], caller=caller, now=page.now)
        prepared = await kiosk.prepare(page.db, page.vault, application, caller=caller, now=page.now)

        async def register(tx: Connection) -> LabelOf:
            return await kiosk.register(
                tx, page.vault, prepared, caller=caller, request_id=page.request_id, now=page.now
            )

        return await _label(page, await page.write(register), key, applied=True)
    except PlatformError as error:
        return problem(page, error, APPLY)


async def _applying(page: Page) -> Caller:
    """Return the terminal, which may register residents.

    Raises:
        NotPermitted, and what ``terminal`` raises.
    """
    caller = await terminal(page)
    caller.require("accounts:register")
    return caller


def _who(page: Page, application: kiosk.Application) -> dict[str, Any]:
    read = application.read
    return {
        "name": kiosk.masked_name(read.name),
        "number": IdNumber(read.id_number).masked,
        "certificate": getattr(CERTIFICATE_TYPES[read.id_type], page.language),
    }


async def _ask_phone(
    page: Page, application: kiosk.Application, key: str, *, caller: Caller, phone: str = "", wrong: bool = False
) -> Response[str]:
    return page.html(
        "kiosk/phone.html",
        status=422 if wrong else 200,
        held=await kiosk.hold(page.vault, application, caller=caller),
        key=key,
        phone=phone or application.phone,
        wrong=wrong,
        start_s=START_S * 2,
        **_who(page, application),
    )


async def _label(page: Page, whose: LabelOf, key: str, *, applied: bool) -> Response[str]:
    printing = await _printing(page, key)
    shown = await page.write(lambda tx: kiosk.show_label(tx, page.vault, whose, printing, kiosk=this_kiosk(page)))
    picture = Markup(shown.svg)  # noqa: S704 -- outlines and modules; no text of anybody's is in it
    return page.html(
        "kiosk/label.html",
        shown=shown,
        picture=picture,
        size=this_kiosk(page).size,
        start_s=START_S // 2,
        applied=applied,
    )


@get("/kiosk/sheet", session="kiosk", permission="kiosk:show", include_in_schema=False)
async def show_sheet(page: NamedDependency[Page]) -> Response[str]:
    """Begin a sheet, at a clinic's own desk only."""
    await _desk(page)
    return _sheet(page, [], secrets.token_hex(16))


@post("/kiosk/sheet", session="kiosk", permission="kiosk:print", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def add_to_sheet(page: NamedDependency[Page]) -> Response[str]:
    """Put whoever was read onto the sheet, or take somebody off it."""
    await _desk(page)
    form = await page.request.form()
    key, entries = key_of(form), _entries(form)
    off = str(form.get("off", ""))
    if off:
        return _sheet(page, [each for each in entries if each.text != off], key)
    try:
        if len(entries) >= LABELS_MAX:
            raise SheetFull(labels_max=LABELS_MAX)
        found = await find(page, str(form.get("line", "")), secrets.token_hex(16))
    except PlatformError as error:
        return _sheet(page, entries, key, error=error)
    if any(each.found.whose.vuid == found.whose.vuid for each in entries):
        return _sheet(page, entries, key, twice=found.name)
    return _sheet(page, [*entries, _entry(found)], key)


@post("/kiosk/sheet/print", session="kiosk", permission="kiosk:print", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def print_sheet(page: NamedDependency[Page]) -> Response[str]:
    """Print the gathered labels on sheets of stickers, all or none."""
    await _desk(page)
    form = await page.request.form()
    key, entries, sheet = key_of(form), _entries(form), str(form.get("sheet", ""))
    if sheet not in SHEETS or not entries:
        raise FilterInvalid(detail="sheet")
    printing, whose = await _printing(page, key), [each.found.whose for each in entries]
    try:
        pages = await page.write(
            lambda tx: kiosk.show_sheet(tx, page.vault, whose, printing, kiosk=this_kiosk(page), sheet=sheet)
        )
    except PlatformError as error:
        return _sheet(page, entries, key, error=error)
    pictures = [Markup(each) for each in pages]  # noqa: S704 -- outlines and modules, see above
    return page.html("kiosk/sheet_label.html", pictures=pictures, number=len(entries))


async def _desk(page: Page) -> None:
    """Answer as if there were no sheet where the kiosk stands in public."""
    await terminal(page)
    if not this_kiosk(page).staff:
        raise NotFound


async def _printing(page: Page, key: str) -> Printing:
    caller = await terminal(page)
    return Printing(
        caller=caller,
        request_id=page.request_id,
        seed=f"kiosk:{caller.caller_id}:{key}",
        now=page.now,
        serial_in_code=page.parts.settings.label_serial_in_code,
    )


def _entries(form: Any) -> list[Entry]:
    """Read the hidden lines of the sheet; what they claim is checked again when it is printed."""
    found = []
    for text in form.getall("entry", [])[:LABELS_MAX]:
        parts = _ENTRY.fullmatch(str(text))
        if parts is None:
            raise FilterInvalid(detail="entry")
        whose = LabelOf(vuid=parts[1], verification_id=parts[2])
        found.append(Entry(found=Found(whose=whose, name=parts[3]), text=str(text)))
    return found


def _entry(found: Found) -> Entry:
    name = found.name.replace("|", " ")[:60]
    return Entry(found=found, text=f"{found.whose.vuid}|{found.whose.verification_id}|{name}")


def _sheet(
    page: Page, entries: list[Entry], key: str, *, error: PlatformError | None = None, twice: str = ""
) -> Response[str]:
    problem = {} if error is None else words(page, error)
    return page.html(
        "kiosk/sheet.html",
        status=200 if error is None else error.status,
        entries=entries,
        key=key,
        sheets=SHEETS,
        labels_max=LABELS_MAX,
        problem=problem,
        twice=twice,
    )


ROUTES = [
    *(open_kiosk, show_start, show_scan, print_one),
    *(begin_application, confirm_application, finish_application),
    *(show_sheet, add_to_sheet, print_sheet),
    *paying.ROUTES,
]
