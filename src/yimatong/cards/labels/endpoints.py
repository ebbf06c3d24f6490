"""HTTP of printed labels, kiosk links and drawings."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts.schemas import PageLink
from yimatong.cards.codec import parse
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    CodeUnreadable,
    LabelFontMissing,
    LabelNotFound,
    RecordNotFound,
    SheetRefused,
    StaticCodeSwitchedOff,
    SymbolDoesNotFit,
    SymbologyDriverFailed,
    SymbologyNotAvailable,
    SymbologyUnknown,
)
from yimatong.cards.labels import kiosk, queries, service
from yimatong.cards.labels.kiosk import Kiosk
from yimatong.cards.labels.schemas import (
    Drawing,
    KioskLink,
    LabelDocument,
    Labels,
    NewDrawing,
    NewLabel,
    NewSheet,
    PrintedLabel,
    RevokeLabel,
    Symbologies,
    SymbologyView,
)
from yimatong.cards.labels.service import Printing
from yimatong.cards.symbologies import registry
from yimatong.cards.symbologies.port import Missing
from yimatong.kit.db import Connection

VuidInPath = Annotated[str, PathParameter(pattern="^[0-9A-F]{64}(?!\\n)$")]
SerialInPath = Annotated[str, PathParameter(pattern="^L[0-9A-Z]{9}(?!\\n)$")]
_DRAWING = (SymbologyUnknown, SymbologyNotAvailable, SymbologyDriverFailed, SymbolDoesNotFit)
_PRINTING = (
    *(AccountNotFound, AccountFrozen, AccountCancelled, StaticCodeSwitchedOff, RecordNotFound),
    *(*_DRAWING, LabelFontMissing),
)


def _printing(call: Call, *, serial_in_code: bool) -> Printing:
    return Printing(
        caller=call.caller,
        request_id=call.request_id,
        seed=call.request_id,
        now=call.now,
        serial_in_code=serial_in_code,
    )


@post("/api/v1/labels", permission="labels:print", reads="personal", responses=documented(LabelDocument, *_PRINTING))
async def print_label(
    data: JSONBody[NewLabel], call: NamedDependency[Call], label_serial_in_code: NamedDependency[bool]
) -> Response[bytes]:
    """Print a label: the static code of an account held or verified before, as PDF or SVG in its true size."""
    printing = _printing(call, serial_in_code=label_serial_in_code)
    return await call.write(lambda tx: service.print_label(tx, call.vault, data, printing))


@post(
    "/api/v1/labels/sheets",
    permission="labels:print",
    reads="personal",
    responses=documented(LabelDocument, SheetRefused, *_PRINTING),
)
async def print_sheet(
    data: JSONBody[NewSheet], call: NamedDependency[Call], label_serial_in_code: NamedDependency[bool]
) -> Response[bytes]:
    """Print up to 100 labels on A4 sheets of stickers, all or none."""
    printing = _printing(call, serial_in_code=label_serial_in_code)
    return await call.write(lambda tx: service.print_sheet(tx, call.vault, data, printing))


@post(
    "/api/v1/labels/{serial:str}/revoke",
    permission="labels:revoke",
    status_code=200,
    responses=documented(PrintedLabel, AccountNotFound, LabelNotFound, status=200, keyed=True),
)
async def revoke_label(
    serial: SerialInPath,
    data: JSONBody[RevokeLabel],
    call: NamedDependency[Call],
    label_serial_in_code: NamedDependency[bool],
) -> Response[bytes]:
    """Revoke one printed label that was lost or torn; every other code of the account stays good."""
    return await call.write(
        lambda tx: service.revoke(
            tx,
            call.vault,
            serial,
            data,
            caller=call.caller,
            request_id=call.request_id,
            now=call.now,
            serial_in_code=label_serial_in_code,
        ),
        status=200,
    )


@get(
    "/api/v1/accounts/{vuid:str}/labels",
    permission="labels:read",
    responses=documented(Labels, AccountNotFound, status=200),
)
async def list_labels(
    vuid: VuidInPath, call: NamedDependency[Call], label_serial_in_code: NamedDependency[bool]
) -> Labels:
    """List the printed labels of an account, newest first."""
    return await call.read(
        lambda tx: queries.of_account(tx, vuid, scope=call.caller.scope, serial_in_code=label_serial_in_code)
    )


@post("/api/v1/kiosk-links", permission="kiosk:link", responses=documented(PageLink, SymbologyUnknown))
async def make_kiosk_link(
    data: JSONBody[KioskLink], call: NamedDependency[Call], web_url: NamedDependency[str]
) -> Response[bytes]:
    """Make a one-time link that opens the kiosk pages in this terminal's browser for a day."""

    async def make(tx: Connection) -> PageLink:
        registry.get(data.symbology)
        wanted = Kiosk(caller_id=call.caller.caller_id, size=data.size, symbology=data.symbology, staff=data.staff)
        token = await kiosk.make_link(tx, wanted, now=call.now)
        return PageLink(url=f"{web_url}/kiosk/open/{token}", expires_in_s=kiosk.LINK_S)

    return await call.write(make)


@post(
    "/api/v1/codes/drawings",
    permission="codes:issue",
    status_code=200,
    sync_to_thread=False,
    responses=documented(Drawing, CodeUnreadable, *_DRAWING, status=200),
)
def draw_code(data: JSONBody[NewDrawing], request: Request[Any, Any, Any]) -> Drawing:
    """Draw a code that the caller has, in any symbology; nothing is stored or recorded."""
    del request
    parse(data.code)
    drawn = registry.get(data.symbology)
    modules = drawn.draw(data.code.strip("\r\n"), data.medium)
    png = data.form == "png"
    image = (
        base64.b64encode(modules.png(module_px=data.module_px)).decode()
        if png
        else modules.svg(module_px=data.module_px)
    )
    return Drawing(
        symbology=drawn.name,
        standard=drawn.standard,
        media_type="image/png" if png else service.SVG,
        image=image,
        width_px=modules.width * data.module_px,
        height_px=modules.height * data.module_px,
    )


@get(
    "/api/v1/symbologies",
    permission="codes:issue",
    sync_to_thread=False,
    responses=documented(Symbologies, status=200),
)
def list_symbologies() -> Symbologies:
    """List the symbologies, and what is missing where one cannot be drawn here."""
    return Symbologies(
        symbologies=tuple(
            SymbologyView(
                name=each.name,
                title=each.title,
                standard=each.standard,
                available=not isinstance(each, Missing),
                missing_zh=each.missing_zh if isinstance(each, Missing) else "",
                missing_en=each.missing_en if isinstance(each, Missing) else "",
            )
            for each in registry.known().values()
        )
    )


ROUTES = [print_label, print_sheet, revoke_label, list_labels, make_kiosk_link, draw_code, list_symbologies]
