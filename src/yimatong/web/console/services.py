"""Service channels (服务渠道): apps, accounts, windows and kiosks that payments start from; changed and switched here.

Registering one and rotating its key draws keys that are told once: that stays at the command line (``ymt channels``),
where nothing that is secret passes a browser.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import callers
from yimatong.access.errors import NotPermitted
from yimatong.access.webhooks import Destinations
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.payments.service_channels import queries, service
from yimatong.payments.service_channels.schemas import KINDS, ServiceChannelChange
from yimatong.web.console import filters, hospitals
from yimatong.web.console.channels import SEE, SET, known_channels, may
from yimatong.web.console.channels_acts import by
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

PATH: Final = "/console/service-channels"
STATES: Final = ("active", "off")


@get(PATH, session="console", permission=SEE, include_in_schema=False)
async def list_services(page: NamedDependency[Page]) -> Response[str]:
    """Show service channels; of one institution, one kind, one state."""
    wanted = {
        "institution": filters.words(page, "institution"),
        "kind": filters.choice(page, "kind", KINDS),
        "state": filters.choice(page, "state", STATES),
    }

    async def look(tx: Connection) -> dict[str, Any]:
        which = await hospitals.typed(tx, page)
        found = await queries.of(
            tx,
            scope=page.scope,
            institution_id=which.institution_id,
            kind=wanted["kind"],
            state=wanted["state"],
        )
        rows = found.service_channels
        ids = {each.institution_id or "" for each in rows} | {each.caller_id for each in rows}
        return {"rows": rows, "which": which, "names": await callers.names(tx, ids)}

    return page.html(
        "console/services.html",
        **shell(page, "services"),
        **await page.read(look),
        **may(page),
        wanted=wanted,
        kinds=KINDS,
        states=STATES,
        most=queries.ROWS_MAX,
    )


@get(f"{PATH}/{{service_channel_id:str}}", session="console", permission=SEE, include_in_schema=False)
async def show_service(service_channel_id: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show one service channel with its terminals, and the form to change it."""
    return await _shown(page, service_channel_id)


@post(f"{PATH}/{{service_channel_id:str}}", session="console", permission=SET, status_code=200, include_in_schema=False)
async def change(service_channel_id: FromPath[str], page: NamedDependency[Page]) -> Response[Any]:
    """Change name, payment channels and address, or switch it on or off."""
    if not page.scope.all_rows:
        raise NotPermitted(permission=SET)
    form = await page.request.form()
    given = {name: str(form.get(name, "")).strip() for name in ("name", "notify_url", "state")}
    chosen = [str(each) for each in form.getall("channels", [])]
    try:
        if given["state"]:
            if given["state"] not in STATES:
                raise InvalidInput(detail="state")
            await page.write(
                lambda tx: service.switch(tx, service_channel_id, on=given["state"] == "active", by=by(page))
            )
            return page.go(f"{PATH}/{service_channel_id}")
        wanted = _wanted(given, chosen)
        settings = page.parts.settings
        destinations = Destinations(production=settings.production, hosts=settings.webhook_hosts)
        await page.write(
            lambda tx: service.change(
                tx, service_channel_id, wanted, destinations=destinations, known=known_channels(page), by=by(page)
            )
        )
    except Refusal as refusal:
        return await _shown(page, service_channel_id, refusal=refusal, given=given | {"channels": ",".join(chosen)})
    return page.go(f"{PATH}/{service_channel_id}")


def _wanted(given: dict[str, str], chosen: list[str]) -> ServiceChannelChange:
    try:
        return msgspec.convert(
            {"name": given["name"], "notify_url": given["notify_url"], "channels": chosen}, ServiceChannelChange
        )
    except msgspec.ValidationError as error:
        raise InvalidInput(detail=str(error).rsplit("`$.", maxsplit=1)[-1].strip("`.")) from error


async def _shown(
    page: Page, service_channel_id: str, *, refusal: Refusal | None = None, given: dict[str, str] | None = None
) -> Response[str]:
    async def look(tx: Connection) -> dict[str, Any]:
        found = await queries.find(tx, service_channel_id, scope=page.scope)
        names = await callers.names(tx, {found.institution_id or "", found.caller_id})
        return {"found": found, "names": names}

    shown = await page.read(look)
    found = shown["found"]
    typed = given or {}
    return page.html(
        "console/service.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "services"),
        **shown,
        **may(page),
        known=known_channels(page),
        form={
            "name": typed.get("name", found.name),
            "notify_url": typed.get("notify_url", found.notify_url),
            "channels": typed["channels"].split(",") if "channels" in typed else found.channels,
        },
        refusal=refusal.text(page.language) if refusal else "",
        refused=refusal.code if refusal else "",
    )


ROUTES = [list_services, show_service, change]
