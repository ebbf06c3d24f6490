"""HTTP of statistics over the person index."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.empi.errors import RangeBackwards, StatisticsTooNarrow
from yimatong.empi.statistics import service
from yimatong.empi.statistics.schemas import Counted, StatisticsQuery


@post(
    "/api/v1/persons/statistics",
    permission="persons:count",
    reads="personal",
    status_code=200,
    responses=documented(Counted, StatisticsTooNarrow, RangeBackwards, status=200),
)
async def count_persons(
    data: JSONBody[StatisticsQuery], call: NamedDependency[Call], statistics_min_cell: NamedDependency[int]
) -> Counted:
    """Count persons by any combination of facts, in groups; small numbers are hidden and all are rounded."""
    return await call.read(lambda tx: service.count(tx, call.vault, data, min_cell=statistics_min_cell, now=call.now))


ROUTES = [count_persons]
