"""Outbound HTTP with mandatory time-outs and one reading of failures.

Nothing reached the party -> ``PartyUnreachable`` (safe to send again). Anything later -> ``PartyOutcomeUnknown``
(it may have acted; ask before acting again). An HTTP status is an answer, not a failure: the adapter reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    NonHttpUrlClientError,
    TCPConnector,
)
from yarl import URL

from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable

_NOTHING_SENT: Final = (ClientConnectorError, ConnectionTimeoutError, InvalidURL, NonHttpUrlClientError)
_OPEN: Final = (ClientError, TimeoutError, OSError)
_KEEP_S: Final = 4.0
"""How long an idle connection is kept: less than servers keep theirs, so that no request meets one just closed."""


class Answer(NamedTuple):
    """What a party answered: the status, the headers (names in lower case) and the raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outbound:
    """A connection pool to outside parties. Time-outs in seconds; there is no way to leave them out."""

    def __init__(
        self, *, connect_s: float = 3.0, read_s: float = 10.0, whole_s: float = 300.0, connections_max: int = 100
    ) -> None:
        """Open the pool lazily; the environment's proxies are ignored on purpose.

        ``connect_s``: until a connection is there, waiting for a free one included. ``read_s``: of silence.
        ``whole_s``: until the answer is complete.
        """
        self._timeout = ClientTimeout(total=whole_s, connect=connect_s, sock_read=read_s)
        self._connections_max = connections_max
        self._opened: ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._opened is not None:
            await self._opened.close()

    async def send(
        self,
        party: str,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        Raises:
            PartyUnreachable: no connection could be made; nothing was sent.
            PartyOutcomeUnknown: the request may have arrived; its answer is missing.
        """
        # ``encoded``: the target goes out as it was signed.
        request = self._session().request(
            method, URL(url, encoded=True), data=body or None, headers=headers, allow_redirects=False
        )
        try:
            async with request as reply:
                return Answer(
                    reply.status, {key.lower(): value for key, value in reply.headers.items()}, await reply.read()
                )
        except _NOTHING_SENT as error:
            raise PartyUnreachable(party=party, audit=repr(error)) from error
        except _OPEN as error:
            raise PartyOutcomeUnknown(party=party, audit=repr(error)) from error

    def _session(self) -> ClientSession:
        if self._opened is None:
            self._opened = ClientSession(
                timeout=self._timeout,
                connector=TCPConnector(limit=self._connections_max, keepalive_timeout=_KEEP_S),
                cookie_jar=DummyCookieJar(),
                headers={"user-agent": "yimatong"},
                skip_auto_headers=("content-type",),
                trust_env=False,
            )
        return self._opened
