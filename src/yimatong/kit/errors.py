"""The three branches of every error the platform answers with (RFC 9457 problem details).

::

    PlatformError
    ├── Refusal          4xx  the request is understood and declined; sending it again changes nothing
    ├── Unavailable      503  failed before anything was done; sending it again is safe
    └── OutcomeUnknown   202  an outside party may or may not have acted; stays pending and is asked again

A room lists its errors in its own ``errors.py``: one class each, with a public ``code``, a ``status`` and a
message in both languages. Raise with facts: ``raise OrderNotFound(order_no=...)``. Facts are public; never put
personal data into them.
"""

from __future__ import annotations

from typing import Any, ClassVar

_catalogue: dict[str, type[PlatformError]] = {}


class PlatformError(Exception):
    """Root of every anticipated error. Never raised itself.

    Class attributes: ``code`` (public, stable, e.g. ``PAY-2003``), ``status`` (HTTP), ``zh`` and ``en``
    (message templates; ``{fact}`` is filled from the keyword arguments), ``retryable``.
    """

    code: ClassVar[str] = ""
    status: ClassVar[int] = 500
    zh: ClassVar[str] = ""
    en: ClassVar[str] = ""
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class in the catalogue; two classes with one code are a programming error."""
        super().__init_subclass__(**kwargs)
        code = cls.__dict__.get("code")
        if code is None:
            return
        other = _catalogue.setdefault(code, cls)
        if other is not cls:
            message = f"error code {code} belongs to {other.__qualname__} and {cls.__qualname__}"
            raise TypeError(message)

    def __init__(self, *, audit: str = "", **facts: object) -> None:
        """Keep the public ``facts`` and the private ``audit`` detail (written to the audit, never sent)."""
        self.facts = facts
        self.audit = audit
        super().__init__(self.text("en"))

    @property
    def retry_after_s(self) -> int | None:
        """Return after how many seconds it is worth asking again, where the error knows."""
        fact = self.facts.get("retry_after_s")
        return fact if isinstance(fact, int) else None

    def text(self, language: str) -> str:
        """Return the message in ``language`` (``zh`` or ``en``) with its facts filled in."""
        template = self.zh if language.startswith("zh") else self.en
        return template.format_map(_Facts(self.facts))


class _Facts(dict[str, object]):
    """Facts that leave an unknown placeholder visible instead of failing while an error is reported."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


class Refusal(PlatformError):
    """The request is understood and declined; nothing was changed."""

    status = 400


class Unavailable(PlatformError):
    """Failed before anything was done; the same request may be sent again."""

    status = 503
    retryable = True


class OutcomeUnknown(PlatformError):
    """An outside party may or may not have acted; the platform asks and the state stays pending."""

    status = 202
    retryable = True


def catalogue() -> dict[str, type[PlatformError]]:
    """Return every error with a public code, by code. Complete once all rooms are imported."""
    return dict(sorted(_catalogue.items()))


class InvalidInput(Refusal):
    """The shape of the request is wrong: unknown field, wrong type, value out of range."""

    code = "KIT-1001"
    status = 422
    zh = "请求内容不符合接口定义：{detail}"
    en = "the request does not have the documented shape: {detail}"


class NotFound(Refusal):
    """No such address."""

    code = "KIT-1002"
    status = 404
    zh = "没有这个地址"
    en = "no such address"


class MethodNotAllowed(Refusal):
    """The address exists, the method does not."""

    code = "KIT-1003"
    status = 405
    zh = "该地址不支持这个方法"
    en = "this address does not support the method"


class BodyTooLarge(Refusal):
    """The body is larger than the limit of the edge."""

    code = "KIT-1004"
    status = 413
    zh = "请求体超过 {limit_bytes} 字节"
    en = "the body is larger than {limit_bytes} bytes"


class UnsupportedMediaType(Refusal):
    """A body that is not JSON where JSON is expected."""

    code = "KIT-1005"
    status = 415
    zh = "请求体必须是 application/json"
    en = "the body must be application/json"


class UnexpectedFailure(PlatformError):
    """Last resort: a defect of ours. The transaction was rolled back; the log has the trace by request id."""

    code = "KIT-5000"
    status = 500
    zh = "系统内部错误，未产生任何变更"
    en = "internal error; nothing was changed"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or was restarted during the request."""

    code = "KIT-5001"
    zh = "数据库暂时不可用，请用同一幂等键重试"
    en = "the database is unavailable; retry with the same idempotency key"


class PartyUnreachable(Unavailable):
    """An outside party could not be connected to; nothing reached it."""

    code = "KIT-5002"
    zh = "无法连接外部系统 {party}"
    en = "{party} cannot be reached; nothing was sent"


class PartyOutcomeUnknown(OutcomeUnknown):
    """An outside party was sent a request and its answer is missing or not to be trusted."""

    code = "KIT-5003"
    zh = "外部系统 {party} 的处理结果未知，平台将主动查询"
    en = "the outcome at {party} is unknown; the platform will ask"
