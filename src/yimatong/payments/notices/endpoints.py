"""HTTP of notices. These routes carry no signature of ours: the channel's own is checked on the raw body."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.kit import clock
from yimatong.kit.errors import OutcomeUnknown
from yimatong.kit.web import Arrival, language_of, translate
from yimatong.payments.desk import Desk
from yimatong.payments.log import PaymentsLog
from yimatong.payments.notices import service
from yimatong.payments.notices.sharing import Shared

_UNAVAILABLE = 503


@post("/notify/{channel:str}/{account_id:str}", public=True, status_code=200, include_in_schema=False)
async def take_notice(
    channel: FromPath[str],
    account_id: FromPath[str],
    arrival: NamedDependency[Arrival],
    desk: NamedDependency[Desk],
    settlements: NamedDependency[Shared],
) -> Response[bytes]:
    """Take a notice of a channel: its own word for *taken* after the commit, else its word for *send it again*."""
    problem, status = "", 200
    try:
        body = await arrival.body()
        await service.take(desk, channel, account_id, arrival.headers, body, shared=settlements, now=clock.now())
    except Exception as caught:  # noqa: BLE001 -- whatever failed, the channel gets its own form of "not taken"
        error = translate(caught)
        PaymentsLog.NOTICE_REFUSED.emit(account_id=account_id, cause=error.code, detail=error.audit)
        status = _UNAVAILABLE if isinstance(error, OutcomeUnknown) else error.status
        problem = error.text(language_of(arrival.headers.get("accept-language", "")))
    answer = service.answer(desk, channel, problem=problem, status=status)
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type)


ROUTES = [take_notice]
