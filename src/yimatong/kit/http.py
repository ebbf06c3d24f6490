"""Outbound HTTP with mandatory time-outs and one reading of failures.

Nothing reached the party -> ``PartyUnreachable`` (safe to send again). Anything later -> ``PartyOutcomeUnknown``
(it may have acted; ask before acting again). An HTTP status is an answer, not a failure: the adapter reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

import httpx

from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Answer(NamedTuple):
    """What a party answered: the status, the headers (names in lower case) and the raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outbound:
    """A connection pool to outside parties. Time-outs in seconds; there is no way to leave them out."""

    def __init__(self, *, connect_s: float = 3.0, read_s: float = 10.0, connections_max: int = 100) -> None:
        """Open the pool lazily; the environment's proxies are ignored on purpose."""
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(read_s, connect=connect_s, pool=connect_s),
            limits=httpx.Limits(max_connections=connections_max),
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

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
        try:
            reply = await self._client.request(method, url, content=body, headers=headers)
        except _NOTHING_SENT as error:
            raise PartyUnreachable(party=party, audit=repr(error)) from error
        except httpx.HTTPError as error:
            raise PartyOutcomeUnknown(party=party, audit=repr(error)) from error
        return Answer(reply.status_code, {key.lower(): value for key, value in reply.headers.items()}, reply.content)
