"""What is done with payment channels: changes of merchant accounts proposed and approved by two people; pins.

A file with new keys is read in memory and sealed at once; it waits for the second person, and no page shows a secret.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter

from yimatong.access.errors import NotPermitted
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.payments.administration import service
from yimatong.payments.administration.schemas import AccountFile
from yimatong.payments.errors import AccountChangeInvalid
from yimatong.payments.health import service as health
from yimatong.payments.service_channels.service import By
from yimatong.web.console.channels import APPROVE, PATH, SET, account_page, channels_page, known_channels
from yimatong.web.page import Page

VerbInPath = Annotated[str, PathParameter(pattern="^(approve|reject)(?!\\n)$")]
_FILE_BYTES_MAX: Final = 256 * 1024
_WORDS: Final = {"shown": "shown", "hidden": "hidden", "measured": ""}


@post(PATH, session="console", permission=SET, upload=True, status_code=200, include_in_schema=False)
async def propose_file(page: NamedDependency[Page]) -> Response[Any]:
    """Put a file with a merchant account or its new keys up for a second person."""
    _require_province(page, SET)
    reason = page.upload.fields.get("reason", "").strip()
    try:
        file = _read(page.upload.content)
        await page.write(
            lambda tx: service.propose_put(tx, page.vault, file, known=known_channels(page), reason=reason, by=by(page))
        )
    except Refusal as refusal:
        return await channels_page(page, refusal=refusal, form={"reason": reason})
    return page.go(f"{PATH}#proposed")


@post(f"{PATH}/{{account_id:str}}/switch", session="console", permission=SET, status_code=200, include_in_schema=False)
async def propose_switch(account_id: FromPath[str], page: NamedDependency[Page]) -> Response[Any]:
    """Propose to switch a merchant account on or off."""
    _require_province(page, SET)
    form = await page.request.form()
    state, reason = str(form.get("state", "")), str(form.get("reason", "")).strip()
    if state not in {"active", "off"}:
        raise InvalidInput(detail="state")
    try:
        await page.write(
            lambda tx: service.propose_switch(
                tx, page.vault, account_id, on=state == "active", reason=reason, by=by(page)
            )
        )
    except AccountChangeInvalid as refusal:
        return await account_page(page, account_id, refusal=refusal)
    return page.go(f"{PATH}#proposed")


@post(
    f"{PATH}/proposals/{{approval_id:str}}/{{verb:str}}",
    session="console",
    permission=APPROVE,
    status_code=200,
    include_in_schema=False,
)
async def decide(approval_id: FromPath[str], verb: VerbInPath, page: NamedDependency[Page]) -> Response[Any]:
    """Approve or reject as another person than the one who proposed."""
    _require_province(page, APPROVE)
    try:
        await page.write(
            lambda tx: service.decide(
                tx, page.vault, approval_id, approve=verb == "approve", known=known_channels(page), by=by(page)
            )
        )
    except Refusal as refusal:
        return await channels_page(page, refusal=refusal)
    return page.go(PATH)


@post(f"{PATH}/{{account_id:str}}/pin", session="console", permission=SET, status_code=200, include_in_schema=False)
async def pin(account_id: FromPath[str], page: NamedDependency[Page]) -> Response[None]:
    """Show or hide a channel whatever is measured, or leave it to what is measured."""
    _require_province(page, SET)
    word = _WORDS.get(str((await page.request.form()).get("word", "")))
    if word is None:
        raise InvalidInput(detail="word")
    await page.write(
        lambda tx: health.pin(
            tx, account_id, word, actor=page.operator.operator_id, request_id=page.request_id, now=page.now
        )
    )
    return page.go(f"{PATH}/{account_id}")


def by(page: Page) -> By:
    """Return who acts, for the audit."""
    return By(actor=page.operator.operator_id, request_id=page.request_id, now=page.now)


def _require_province(page: Page, permission: str) -> None:
    if not page.scope.all_rows:
        raise NotPermitted(permission=permission)


def _read(content: bytes) -> AccountFile:
    """Return the account of an uploaded file, TOML or JSON; what is wrong names the entry, never its value.

    Raises:
        AccountChangeInvalid: too large, or not of the documented shape.
    """
    if not content or len(content) > _FILE_BYTES_MAX:
        raise AccountChangeInvalid(detail="文件 / file")
    try:
        if content.lstrip()[:1] == b"{":
            return msgspec.json.decode(content, type=AccountFile)
        return msgspec.toml.decode(content, type=AccountFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = str(error) if isinstance(error, msgspec.ValidationError) else "不是 TOML 或 JSON / not TOML or JSON"
        raise AccountChangeInvalid(detail=said[:200]) from error


ROUTES = [propose_file, propose_switch, decide, pin]
