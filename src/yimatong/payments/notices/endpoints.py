"""HTTP of notices. These routes carry no signature of ours: the channel's own is checked on the raw body."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.kit import clock
from yimatong.kit.errors import OutcomeUnknown
from yimatong.kit.web import language_of, translate
from yimatong.payments.desk import Desk
from yimatong.payments.log import PaymentsLog
from yimatong.payments.notices import service

_UNAVAILABLE = 503


@post("/notify/wechat/{account_id:str}", public=True, status_code=200, include_in_schema=False)
async def wechat_notice(
    account_id: FromPath[str], request: Request[Any, Any, Any], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Take a notice of WeChat Pay: 204 after the commit, else 4xx/5xx with ``FAIL``, and it comes again."""
    try:
        headers = {key.lower(): value for key, value in request.headers.items()}
        await service.take(desk, "wechat", account_id, headers, await request.body(), now=clock.now())
    except Exception as caught:  # noqa: BLE001 -- whatever failed, the channel gets its own form of "not taken"
        error = translate(caught)
        PaymentsLog.NOTICE_REFUSED.emit(account_id=account_id, cause=error.code, detail=error.audit)
        status = _UNAVAILABLE if isinstance(error, OutcomeUnknown) else error.status
        text = error.text(language_of(request.headers.get("accept-language", "")))
        answer = msgspec.json.encode({"code": "FAIL", "message": text})
        return Response(answer, status_code=status, media_type="application/json")
    return Response(b"", status_code=204)


ROUTES = [wechat_notice]
