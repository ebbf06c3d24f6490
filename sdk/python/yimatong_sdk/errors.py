"""What can go wrong.

::

    YimatongError
    ├── ApiError             the platform answered with a problem document
    ├── AnswerNotGenuine     the answer's signature does not hold; believe nothing of it
    └── PlatformUnreachable  no answer at all, after the retries
"""

from __future__ import annotations


class YimatongError(Exception):
    """Root of everything this package raises."""


class ApiError(YimatongError):
    """The platform refused, or could not say: ``code`` is stable and public, ``retryable`` says what to do."""

    def __init__(self, *, http_status: int, code: str, detail: str, request_id: str, retryable: bool) -> None:
        """Keep what the problem document says."""
        super().__init__(f"{code} {detail} (HTTP {http_status}, request {request_id})")
        self.http_status = http_status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.retryable = retryable


class AnswerNotGenuine(YimatongError):
    """The answer is not signed by the platform for this request."""


class PlatformUnreachable(YimatongError):
    """The platform did not answer; the same call may be made again."""
