"""Which column of an uploaded file means what: chosen once, remembered for the next file of the kind."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.cards.batches import service
from yimatong.cards.batches.service import Options
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

PATH: Final = "/console/batch-columns"
_COLUMNS_MAX: Final = 200


async def ask(page: Page, content: bytes, options: Options, file_name: str) -> str:
    """Keep the file, sealed, and return the address where its columns are chosen."""
    made_by = page.operator.operator_id
    upload_id = await service.keep_upload(
        page.db, page.vault, content, options, file_name=file_name, made_by=made_by, now=page.now
    )
    return f"{PATH}/{upload_id}"


@get(
    f"{PATH}/{{upload_id:str}}",
    session="console",
    permission="console:batches",
    reads="personal",
    include_in_schema=False,
)
async def show_columns(upload_id: FromPath[str], page: NamedDependency[Page]) -> Response[str]:
    """Show every column with masked samples and what it seems to be."""
    return await _form(page, upload_id)


@post(
    f"{PATH}/{{upload_id:str}}",
    session="console",
    permission="console:batches",
    status_code=200,
    include_in_schema=False,
)
async def choose_columns(upload_id: FromPath[str], page: NamedDependency[Page]) -> Response[Any]:
    """Take in the file as its columns were chosen, remember the choice, and forget the upload."""
    form = await page.request.form()
    wanted = [str(form.get(f"column-{place}", "")) for place in range(_COLUMNS_MAX)]
    try:
        taken = await service.receive_upload(
            page.db, page.vault, upload_id, wanted, made_by=page.operator.operator_id, now=page.now
        )
    except Refusal as refusal:
        if refusal.code not in service.COLUMNS_WRONG:
            raise
        return await _form(page, upload_id, wanted=wanted, refusal=refusal)
    await page.write(_nothing)
    return page.go(f"/console/batches/{taken.batch_id}")


async def _nothing(_tx: Connection) -> None:
    """Leave the audit row alone."""


async def _form(
    page: Page, upload_id: str, *, wanted: list[str] | None = None, refusal: Refusal | None = None
) -> Response[str]:
    kept = await page.read(lambda tx: service.read_upload(tx, upload_id, made_by=page.operator.operator_id))
    shown = [
        (place, column, column.field if wanted is None else wanted[place])
        for place, column in enumerate(kept.preview.columns)
    ]
    return page.html(
        "console/batch_columns.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "batches"),
        kept=kept,
        shown=shown,
        fields={name: service.FIELDS[name][0] for name in service.FIELDS_OF[kept.kind]},
        needed=service.NEEDED_OF[kept.kind],
        refusal=refusal.text(page.language) if refusal else "",
        code=refusal.code if refusal else "",
    )


ROUTES = [show_columns, choose_columns]
