"""A subscriber's own system: a real HTTP server on loopback that checks signatures and can be told to fail."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from yimatong.access import request_auth


class Receiver:
    """Keeps what it took, in order of arrival; ``fails`` says for each delivery whether to answer 503."""

    def __init__(self, secret: bytes) -> None:
        self.taken: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.seen: list[tuple[dict[str, Any], bool]] = []
        self.fails: Callable[[dict[str, Any]], bool] = lambda _body: False
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                given = request_auth.parse(self.headers["authorization"])
                text = request_auth.request_text(
                    method="POST",
                    target=self.path,
                    timestamp=given.timestamp,
                    nonce=given.nonce,
                    bound=self.headers["idempotency-key"],
                    body=body,
                )
                genuine = hmac.compare_digest(request_auth.sign(secret, text), given.signature)
                said = json.loads(body)
                with lock:
                    bad = not genuine or outer.fails(said)
                    outer.seen.append((said, not bad))
                    if not bad and self.headers["idempotency-key"] not in outer.keys:
                        outer.keys.append(self.headers["idempotency-key"])
                        outer.taken.append(said)
                self.send_response(503 if bad else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/persons?of=his"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
