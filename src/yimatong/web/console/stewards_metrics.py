"""How the desk does, with charts and as CSV."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency

from yimatong.access import operators
from yimatong.empi.reviews import metrics
from yimatong.empi.reviews.metrics import Metrics
from yimatong.kit import spreadsheets
from yimatong.kit.db import Connection
from yimatong.web import charts
from yimatong.web.charts import Series
from yimatong.web.console import filters, stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.console.stewards import PATH, PERMISSION
from yimatong.web.page import Page

SPANS: Final = ("7", "30", "90")


@get([f"{PATH}/metrics", f"{PATH}/metrics.csv"], session="console", permission=PERMISSION, include_in_schema=False)
async def show_metrics(page: NamedDependency[Page]) -> Response[str] | Response[bytes]:
    """Show queue length, ages, decisions by person and day, and how far two judges agree."""
    span = filters.choice(page, "days", SPANS) or "30"

    async def look(tx: Connection) -> tuple[Metrics, dict[str, str]]:
        found = await metrics.read(tx, scope=page.scope, now=page.now, days=int(span))
        return found, await operators.names(tx, {each.operator_id for each in found.work})

    found, names = await page.read(look)
    if page.request.url.path.endswith(".csv"):
        return _csv(found, names)
    labels = [f"{each.day:%m-%d}" for each in found.days]
    flow = [
        Series(name=page.text("desk.metrics.opened"), style="s2", values=tuple(each.opened for each in found.days)),
        Series(name=page.text("desk.metrics.decided"), style="s1", values=tuple(each.decided for each in found.days)),
    ]
    length = Series(
        name=page.text("desk.metrics.waiting"), style="s4", values=tuple(each.waiting for each in found.days)
    )
    return page.html(
        "console/review_metrics.html",
        **shell(page, "reviews"),
        **stewards_shown.context(),
        found=found,
        names=names,
        span=span,
        spans=SPANS,
        flow=flow,
        age=lambda seconds: stewards_shown.span(page, seconds),
        flow_chart=charts.columns(
            identity="flow",
            title=page.text("desk.metrics.flow"),
            description=", ".join(f"{line.name} {line.total:,}" for line in flow),
            labels=labels,
            series=flow,
        ),
        length_chart=charts.columns(
            identity="length",
            title=length.name,
            description=f"{labels[0]} {length.values[0]:,}, {labels[-1]} {length.values[-1]:,}",
            labels=labels,
            series=[length],
        ),
        csv=filters.address(f"{PATH}/metrics.csv", days=span),
    )


def _csv(found: Metrics, names: dict[str, str]) -> Response[bytes]:
    rows: list[tuple[object, ...]] = [("日期 day", "新增 opened", "结案 settled", "日末队列 waiting")]
    rows += [(each.day.isoformat(), each.opened, each.decided, each.waiting) for each in found.days]
    rows.append(())
    rows.append(("日期 day", "审核人员 steward", "合并 merged", "不是同一人 rejected"))
    rows += [
        (each.day.isoformat(), names.get(each.operator_id, each.operator_id), each.merged, each.rejected)
        for each in found.work
    ]
    rows.append(())
    rows.append(("复核抽取 drawn", "复核 checked", "一致 same", "无法判断 unsure"))
    told = found.agreement
    rows.append((told.drawn, told.checked, told.same, told.unsure))
    headers = {"content-disposition": 'attachment; filename="reviews.csv"', "cache-control": "no-store"}
    return Response(spreadsheets.csv_bytes(rows), media_type=spreadsheets.CSV_TYPE, headers=headers)


ROUTES = [show_metrics]
