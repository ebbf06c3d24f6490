"""Subscribers of PMIR are told by a message of the feed, signed, in JSON or XML, of what they may see."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir_world import BASE, JSON, XML, Fhir, number, patient

from yimatong.access import request_auth
from yimatong.apps import worker
from yimatong.apps.assembly import assemble
from yimatong.empi.subscriptions import tasks
from yimatong.kit import clock
from yimatong.kit.outbox import Relay
from yimatong.kit.settings import Settings


class Subscriber:
    """A system that keeps what it is sent, when the signature holds."""

    def __init__(self, secret: str) -> None:
        self.taken: list[tuple[str, bytes]] = []
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
                request_auth.check_signature(bytes.fromhex(secret), text, given.signature)
                outer.taken.append((self.headers["content-type"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/pmir-message"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def subscriber(secrets_of: dict[str, str]) -> Iterator[Subscriber]:
    made = Subscriber(secrets_of["his-1"])
    yield made
    made.close()


@pytest.fixture
def deliver(health_settings: Settings, run_async: Callable[..., object]) -> Callable[[], object]:
    async def work() -> None:
        parts = assemble(health_settings)
        try:
            while await tasks.fan_out(parts.db, now=clock.now()):
                pass
            relay = Relay(parts.db, worker.handlers(parts))
            while await relay.deliver_due(now=clock.now()):
                pass
        finally:
            await parts.close()

    return lambda: run_async(work())


@pytest.mark.parametrize("payload", [JSON, XML])
def test_a_subscriber_is_told_of_a_person(
    his: Fhir, subscriber: Subscriber, deliver: Callable[[], object], payload: str
) -> None:
    mine = number()
    channel = {"type": "message", "endpoint": subscriber.url, "payload": payload}
    wanted = {"resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": "Patient"}
    made = his("POST", "/Subscription", wanted | {"channel": channel})
    assert made.status_code == 201, made.text
    ref = his.feed(mine, patient(mine)).extensions["resource"]["id"]
    his.feed(mine, patient(mine, name=[{"family": "MOHR", "given": ["ALISSA"]}]))
    deliver()
    his("DELETE", made.headers["location"].partition("/_history")[0])
    assert subscriber.taken
    model = get_fhir_model_class("Bundle")
    methods = []
    for media_type, body in subscriber.taken:
        assert media_type.startswith(payload)
        read = model.model_validate_json(body) if payload == JSON else model.model_validate_xml(body)
        message = json.loads(read.model_dump_json())
        header, history = (each["resource"] for each in message["entry"])
        assert message["type"] == "message"
        assert header["eventUri"] == "urn:ihe:iti:pmir:2019:patient-feed"
        assert header["destination"] == [{"endpoint": subscriber.url}]
        assert history["type"] == "history"
        (entry,) = history["entry"]
        assert entry["resource"]["id"] == ref
        assert entry["fullUrl"] == f"{BASE}/Patient/{ref}"
        assert entry["resource"]["name"][0]["given"] == ["ALISSA"]
        methods.append(entry["request"]["method"])
    assert methods[0] == "POST"
    assert "PUT" in methods
