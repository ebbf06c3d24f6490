"""Error catalogue of the gateways (GWY-)."""

from __future__ import annotations

from yimatong.kit.errors import OutcomeUnknown, Refusal, Unavailable


class PathNotServed(Refusal):
    """This front does not serve the operation."""

    code = "GWY-1001"
    status = 404
    zh = "本前置机不提供该服务"
    en = "this front does not serve the operation"


class RequestRepeated(Refusal):
    """The same signed request passed this front a moment ago."""

    code = "GWY-1002"
    status = 409
    zh = "重复请求已被前置机拦截"
    en = "the same signed request passed this front a moment ago"


class CentreUnreachable(Unavailable):
    """The centre cannot be reached; nothing was sent."""

    code = "GWY-5001"
    zh = "暂时无法连接中心平台，请稍后重试"
    en = "the centre cannot be reached; nothing was sent, retry is safe"


class CentreOutcomeUnknown(OutcomeUnknown):
    """The centre got the request and its answer is missing."""

    code = "GWY-5002"
    status = 504
    zh = "中心平台的处理结果未知，请用同一幂等键重试"
    en = "the outcome at the centre is unknown; retry with the same idempotency key"
