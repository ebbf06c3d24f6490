"""What accepts from our listeners sends small pieces at once, whichever loop serves it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from yimatong.kit.listeners import listener


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_nothing_is_kept_back(run: Callable[..., Any]) -> None:
    async def accepted() -> int:
        got: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            got.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listener() as own:
            server = await asyncio.start_server(serve, sock=own)
            _, writer = await asyncio.open_connection(*own.getsockname())
            answer = await asyncio.wait_for(got, 20)
            writer.close()
            server.close()
            return answer

    assert run(accepted()) == 1


def test_a_taken_port_says_so() -> None:
    with listener() as own, pytest.raises(OSError, match=r"in use") as failed:
        listener(port=own.getsockname()[1])
    assert failed.value.errno is not None
