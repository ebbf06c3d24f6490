"""Outbound HTTP against real sockets: what certainly did not arrive is unreachable, anything later is open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def ask(talk: Talk, *, read_s: float = 0.4) -> object:
    """Send one POST to a server that talks like this; return the answer's status or the error's class."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Outbound(connect_s=0.5, read_s=read_s) as outbound:
        try:
            return (await outbound.send("party", "POST", f"http://127.0.0.1:{port}/x", body=b"hello")).status
        except (PartyUnreachable, PartyOutcomeUnknown) as error:
            return type(error)
        finally:
            server.close()


def saying(*parts: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"hello")
        for part in parts:
            writer.write(part)
            await writer.drain()

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"hello")
    await asyncio.sleep(1)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"hello")


@pytest.mark.parametrize("status", [200, 204, 302, 404, 500, 503])
async def test_a_status_is_an_answer(status: int) -> None:
    line = f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:9/\r\n\r\n".encode()
    assert await ask(saying(line)) == status


@pytest.mark.parametrize(
    "talk",
    [
        silent,
        hangs_up,
        saying(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
        saying(b"this is no HTTP\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    ],
    ids=["silent", "hangs up", "half an answer", "another protocol", "broken chunks"],
)
async def test_after_sending_the_outcome_is_open(talk: Talk) -> None:
    assert await ask(talk) is PartyOutcomeUnknown


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Outbound() as outbound:
        for url in (f"http://127.0.0.1:{port}/", "http://name.invalid/", "gopher://127.0.0.1/"):
            with pytest.raises(PartyUnreachable):
                await outbound.send("party", "GET", url)


async def test_environment_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert await ask(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) == 200
