"""Statistics over the person index: conditions, up to two groups, a chart, a table, the way down a region, CSV.

Conditions travel in the form's body: a name never gets into an address. Every count leaves an audit row.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from markupsafe import Markup

from yimatong.empi.statistics import service
from yimatong.empi.statistics.schemas import Cell, Counted, Dimension, StatisticsQuery
from yimatong.kit import spreadsheets
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.standards.codes import MARITAL, SEX
from yimatong.web import charts
from yimatong.web.charts import Series
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

PATH: Final = "/console/statistics"
PERMISSION: Final = "console:statistics"
DIMENSIONS: Final = get_args(Dimension)
_TEXTS: Final = ("name", "sex", "region_code", "marital", "state", "born_from", "born_to")
_NUMBERS: Final = ("age_from", "age_to")
_FORM: Final = (*_TEXTS, *_NUMBERS, "group", "second")
_STYLES: Final = ("s1", "s4", "s5", "s2", "s3")
_SERIES_MAX: Final = len(_STYLES)
_REGION_DIGITS: Final = 6


@get(PATH, session="console", permission=PERMISSION, include_in_schema=False)
async def show_form(page: NamedDependency[Page]) -> Response[str]:
    """Show the form alone."""
    return _shown(page, {"state": "live", "group": "region"})


@post(PATH, session="console", permission=PERMISSION, status_code=200, include_in_schema=False)
async def count(page: NamedDependency[Page]) -> Response[Any]:
    """Count, and show the table, its chart or its file; a refused question says why above the form."""
    given = {name: str(value).strip() for name, value in (await page.request.form()).items()}
    asked = {name: given.get(name, "") for name in _FORM}
    least = page.parts.settings.statistics_min_cell
    try:
        wanted = _wanted(asked)
        counted = await page.write(lambda tx: service.count(tx, page.vault, wanted, min_cell=least, now=page.now))
    except Refusal as refusal:
        return _shown(page, asked, refusal=refusal)
    if given.get("as") == "csv":
        headers = {"content-disposition": 'attachment; filename="statistics.csv"', "cache-control": "no-store"}
        content = service.csv(counted, page.language)
        return Response(content, media_type=spreadsheets.CSV_TYPE, headers=headers)
    return _shown(page, asked, counted=counted)


def _wanted(asked: dict[str, str]) -> StatisticsQuery:
    facts: dict[str, Any] = {name: asked[name] for name in _TEXTS if asked[name]}
    facts |= {name: asked[name] for name in _NUMBERS if asked[name]}
    groups = [asked[name] for name in ("group", "second") if asked[name]]
    try:
        return msgspec.convert(facts | {"group_by": groups}, StatisticsQuery, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(detail=str(error).rsplit("`$", maxsplit=1)[-1].strip("`.")) from error


def _shown(
    page: Page, asked: dict[str, str], *, counted: Counted | None = None, refusal: Refusal | None = None
) -> Response[str]:
    known = {name: asked.get(name, "") for name in _FORM}
    region = known["region_code"]
    return page.html(
        "console/statistics.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "statistics"),
        asked=known,
        counted=counted,
        table=_table(page, counted) if counted else None,
        chart=_chart(page, counted) if counted else None,
        refusal=refusal.text(page.language) if refusal else "",
        code=refusal.code if refusal else "",
        dimensions=DIMENSIONS,
        sexes=[(code, getattr(term, page.language)) for code, term in SEX.items()],
        maritals=[(code, getattr(term, page.language)) for code, term in MARITAL.items()],
        up=region[:-2] if region else None,
        may_descend=lambda code: code.isdigit() and len(code) < _REGION_DIGITS,
    )


def labels(page: Page, cell: Cell) -> tuple[str, ...]:
    """Return what a cell's codes are called."""
    return cell.labels_zh if page.language == "zh" else cell.labels_en


def _table(page: Page, counted: Counted) -> dict[str, Any]:
    """Return rows and columns: (code, label, counts, total) a row, the second group's labels, the last row's totals."""
    cells = {cell.keys: cell.count for cell in counted.cells}
    rows = {cell.keys[0]: labels(page, cell)[0] for cell in counted.cells}
    if len(counted.group_by) < 2:  # noqa: PLR2004 -- two groups make a square table
        return {"columns": [], "rows": [(key, label, [], cells[key,]) for key, label in rows.items()], "totals": []}
    columns = {cell.keys[1]: labels(page, cell)[1] for cell in counted.cells}
    margins = {cell.keys: cell.count for cell in counted.margins}
    return {
        "columns": list(columns.values()),
        "rows": [
            (key, label, [cells.get((key, other)) for other in columns], margins.get((key, "")))
            for key, label in rows.items()
        ],
        "totals": [margins.get(("", other)) for other in columns],
    }


def _chart(page: Page, counted: Counted) -> Markup | None:
    """Draw an age pyramid for age by sex, stacked columns for other pairs; one group is drawn as bars by the page."""
    if len(counted.group_by) < 2:  # noqa: PLR2004 -- as above
        return None
    if set(counted.group_by) in ({"sex", "age5"}, {"sex", "age10"}):
        return _pyramid(page, counted)
    cells = {cell.keys: cell.count or 0 for cell in counted.cells}
    rows = {cell.keys[0]: labels(page, cell)[0] for cell in counted.cells}
    columns = {cell.keys[1]: labels(page, cell)[1] for cell in counted.cells}
    heavy = sorted(columns, key=lambda key: -sum(cells.get((row, key), 0) for row in rows))[:_SERIES_MAX]
    series = [
        Series(name=columns[key], style=style, values=tuple(cells.get((row, key), 0) for row in rows))
        for key, style in zip(heavy, _STYLES, strict=False)
    ]
    return charts.columns(
        identity="stat",
        title=page.text("menu.statistics"),
        description=", ".join(f"{line.name} {line.total:,}" for line in series),
        labels=list(rows.values()),
        series=series,
    )


def _pyramid(page: Page, counted: Counted) -> Markup:
    at = counted.group_by.index("sex")
    cells = {(cell.keys[at], cell.keys[1 - at]): cell.count for cell in counted.cells}
    bands = {cell.keys[1 - at]: labels(page, cell)[1 - at] for cell in counted.cells}
    rows = [(label, cells.get(("1", band)), cells.get(("2", band))) for band, label in bands.items()]
    names = (page.text("sex.1"), page.text("sex.2"))
    return charts.pyramid(
        identity="stat",
        title=page.text("menu.statistics"),
        description=f"{names[0]} {sum(row[1] or 0 for row in rows):,}, {names[1]} {sum(row[2] or 0 for row in rows):,}",
        rows=list(reversed(rows)),
        sides=names,
    )


ROUTES = [show_form, count]
