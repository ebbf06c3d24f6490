"""A running outside world, and a merchant's server that listens for notices."""

from __future__ import annotations

import http.server
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yimatong.sandbox.local import LocalWorld

sys.path.insert(0, str(Path(__file__).parent))


class Listener:
    """Keeps every notice; answers ``status``."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append((dict(self.headers.items()), body))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self, count: int, seconds: float = 20.0) -> None:
        until(lambda: len(self.got) >= count, seconds)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            pytest.fail("it did not happen in time")
        time.sleep(0.01)


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[LocalWorld]:
    with LocalWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
def enrolled(world):
    return world.enrol(mchid="1900000109", appid="wx8888888888888888")


@pytest.fixture(autouse=True)
def _calm(request) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:
        running = request.getfixturevalue("world")
        running.control("/control/wechat/faults", {})
        running.control("/control/wechat/conditions", {})
