"""Policies of applications: how long their codes live, for what, how often; system administrators set them, audited."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import callers
from yimatong.cards.codes import policies
from yimatong.cards.codes.policies import CLASSES, PURPOSES
from yimatong.cards.errors import PolicyInvalid
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

_PATH: Final = "/console/policies"
_SET: Final = "console:policies-set"


@get(_PATH, session="console", permission="console:policies", include_in_schema=False)
async def list_policies(page: NamedDependency[Page]) -> Response[str]:
    """Show every policy that was set, and the form, filled in with the one that is asked for."""
    return await _list(page, subject=filters.words(page, "subject"))


@post(_PATH, session="console", permission=_SET, status_code=200, include_in_schema=False)
async def put_policy(page: NamedDependency[Page]) -> Response[Any]:
    """Set or take back a policy; what is wrong is told above the form, which keeps what was typed."""
    form = await page.request.form()
    subject = str(form.get("subject", "")).strip()
    given = {name: str(form.get(name, "")).strip() for name in _NUMBERS}
    try:
        if form.get("verb") == "remove":
            await page.write(
                lambda tx: policies.remove(tx, subject, operator_id=page.operator.operator_id, now=page.now)
            )
            return page.go(_PATH)
        wanted = policies.CodePolicy(
            subject=subject,
            classes=_chosen([str(value) for value in form.getall("classes", [])], CLASSES),
            purposes=_chosen([str(value) for value in form.getall("purposes", [])], PURPOSES),
            **{name: _number(name, given[name]) for name in _NUMBERS if given[name]},
        )

        async def put(tx: Connection) -> policies.CodePolicy:
            if not await callers.registered(tx, {subject}):
                raise PolicyInvalid(detail=f"{subject or '-'}: 未登记的应用或机构 / not registered")
            return await policies.put(tx, wanted, operator_id=page.operator.operator_id, now=page.now)

        await page.write(put)
    except Refusal as refusal:
        return await _list(page, subject=subject, given=given, refusal=refusal)
    return page.go(filters.address(_PATH, subject=subject))


_NUMBERS: Final = (*(f"ttl_{name}_s" for name in CLASSES), "uses", "skew_s", "rubbish_max")


def _chosen(values: list[str], known: tuple[str, ...]) -> list[str] | None:
    """Return what was ticked; all of them is the platform's default."""
    return None if set(values) == set(known) else values


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(policies.RUBBISH_MAX_MAX)):
        raise PolicyInvalid(detail=name)
    return int(text)


async def _list(
    page: Page, *, subject: str, given: dict[str, str] | None = None, refusal: Refusal | None = None
) -> Response[str]:
    async def look(tx: Connection) -> dict[str, Any]:
        rows = await policies.policies(tx)
        return {"rows": rows, "names": await callers.names(tx, {row.subject for row in rows} | {subject})}

    found = await page.read(look)
    chosen = next((row for row in found["rows"] if row.subject == subject), policies.CodePolicy(subject=subject or "-"))
    return page.html(
        "console/policies.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "policies"),
        **found,
        subject=subject,
        chosen=chosen,
        values=given or {name: "" if (value := getattr(chosen, name)) is None else str(value) for name in _NUMBERS},
        classes=CLASSES,
        purposes=PURPOSES,
        bounds={
            **{f"ttl_{name}_s": (policies.TTL_S_MIN, policies.TTL_S_MOST) for name in CLASSES},
            "uses": (1, policies.USES_MAX),
            "skew_s": (0, policies.SKEW_S_MOST),
            "rubbish_max": (1, policies.RUBBISH_MAX_MAX),
        },
        may_set=_SET in page.operator.permissions,
        refusal=refusal.text(page.language) if refusal else "",
        code=refusal.code if refusal else "",
    )


ROUTES = [list_policies, put_policy]
