"""MLLP (HL7 Minimal Lower Layer Protocol, release 1): blocks ``<VT>message<FS><CR>`` over a connection.

One message at a time on a connection, each answered before the next is read, as the protocol wants. What is no block
ends the connection: anything could follow.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from hl7.mllp import InvalidBlockError, start_hl7_server  # type: ignore[import-untyped]  # the library has no types

from yimatong.gateways.log import GatewayLog

MESSAGE_BYTES_MAX: Final = 1 << 20
IDLE_S: Final = 900.0
CONNECTIONS_MAX: Final = 256
CONNECTIONS_OF_ONE_MAX: Final = 64
"""From one address, so that one sender's leak of connections leaves room for the others."""

ANSWER_S: Final = 60.0

Handle = Callable[[bytes, str], Awaitable[bytes]]
"""Takes a message and the address it came from, and returns the answer; raises nothing that it could answer."""


async def serve(handle: Handle, *, admits: Callable[[str], bool], host: str, port: int) -> asyncio.Server:
    """Listen and serve until the server is closed. Port 0 takes a free one; ``admits`` judges an address."""
    open_now: Counter[str] = Counter()

    async def connected(reader: Any, writer: Any) -> None:
        peer = (writer.get_extra_info("peername") or ("", 0))[0]
        open_now[peer] += 1
        try:
            room = open_now.total() <= CONNECTIONS_MAX and open_now[peer] <= CONNECTIONS_OF_ONE_MAX
            if room and admits(peer):
                await _converse(handle, reader, writer, peer)
            else:
                GatewayLog.HL7_NOT_ADMITTED.emit(peer=peer, room=room)
        finally:
            open_now[peer] -= 1
            if not open_now[peer]:
                del open_now[peer]
            writer.close()

    server: asyncio.Server = await start_hl7_server(connected, host, port, limit=MESSAGE_BYTES_MAX)
    return server


async def _converse(handle: Handle, reader: Any, writer: Any, peer: str) -> None:
    while True:
        try:
            block = await asyncio.wait_for(reader.readblock(), IDLE_S)
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        except (InvalidBlockError, ValueError) as error:
            GatewayLog.HL7_BLOCK_BROKEN.emit(peer=peer, cause=repr(error)[:200])
            return
        try:
            answer = await asyncio.wait_for(handle(block, peer), ANSWER_S)
            writer.writeblock(answer)
            await asyncio.wait_for(writer.drain(), ANSWER_S)
        except (ConnectionError, TimeoutError) as error:
            # without an answer the sender sends the same message again; it is known by its control id
            GatewayLog.HL7_NOT_ANSWERED.emit(peer=peer, cause=repr(error)[:200])
            return
        except Exception as error:  # noqa: BLE001 -- a message that breaks the reader ends its connection, in the log
            GatewayLog.HL7_NOT_ANSWERED.emit(peer=peer, cause=type(error).__name__)
            return
