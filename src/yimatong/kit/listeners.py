"""The sockets that our servers listen on: made in one place, so that none of them keeps an answer back."""

from __future__ import annotations

import socket


def listener(host: str = "127.0.0.1", port: int = 0, *, share_port: bool = False) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one, ``share_port`` lets several processes listen (Linux).

    What it accepts sends small pieces at once: asyncio sees to that only for sockets that say their protocol, which one
    of ``socket.create_server`` does not, and an answer then waits 40 ms for the other side's acknowledgement (RFC 1122,
    4.2.3.2 and 4.2.3.4).

    Raises:
        OSError: the address cannot be taken; ``errno`` says why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=2048, reuse_port=share_port)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
