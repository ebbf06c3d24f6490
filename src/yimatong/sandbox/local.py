"""The outside world in a thread on free loopback ports, and a merchant enrolled in it: for tests and first steps."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from yimatong.kit.listeners import listener
from yimatong.sandbox.app import World, build, build_control
from yimatong.sandbox.wechat.rows import Merchant


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a merchant configures after enrolment."""

    mchid: str
    appid: str
    serial_no: str
    private_key_pem: str
    api_v3_key: str
    platform_key_id: str
    platform_public_key_pem: str


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals alone: only a main thread may take them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class LocalWorld:
    """A running world; a context manager. ``url`` is the wire, ``control_url`` the control port."""

    def __init__(self, directory: Path) -> None:
        """Keep the journal in ``directory``; nothing runs before ``with``."""
        self._directory = directory
        self._sockets = [listener(), listener()]
        self.url, self.control_url = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._sockets)
        self._servers: list[uvicorn.Server] = []
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._world: World | None = None

    def __enter__(self) -> Self:
        self._world = World(self._directory)
        for app in (build(self._world), build_control(self._world)):
            config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, ws="none")
            self._servers.append(_Server(config))
        self._thread.start()
        while not all(server.started for server in self._servers):
            if not self._thread.is_alive():
                message = "the sandbox did not start; its thread said why"
                raise RuntimeError(message)
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join(timeout=20)
        for own in self._sockets:
            own.close()
        if self._world is not None:
            self._world.store.close()

    def control(self, path: str, body: object = None) -> Any:
        """Call the control port: POST ``body`` to ``/control/...``, or GET when there is none.

        Raises:
            httpx.HTTPStatusError: the control port refused.
        """
        return call_control(self.control_url, path, body)

    def enrol(self, *, mchid: str, appid: str, name: str = "模拟医院") -> Enrolled:
        """Enrol a merchant with fresh keys."""
        return enrol(self.control_url, mchid=mchid, appid=appid, name=name)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        both = zip(self._servers, self._sockets, strict=True)
        await asyncio.gather(*(server.serve(sockets=[own]) for server, own in both))


def merchant_keys(*, mchid: str, appid: str, name: str) -> tuple[Merchant, str]:
    """Draw a merchant's keys; return what WeChat Pay registers, and the private key (PEM) that the merchant keeps."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    merchant = Merchant(
        mchid=mchid,
        appid=appid,
        serial_no=secrets.token_hex(20).upper(),
        public_key_pem=public_pem.decode(),
        api_v3_key=secrets.token_hex(16),
        name=name,
    )
    return merchant, private_pem.decode()


def enrol(control_url: str, *, mchid: str, appid: str, name: str = "模拟医院") -> Enrolled:
    """Make keys for a merchant, register it at the simulated WeChat Pay, and return what it configures."""
    merchant, private_key_pem = merchant_keys(mchid=mchid, appid=appid, name=name)
    shown = call_control(control_url, "/control/wechat/merchants", msgspec.to_builtins(merchant))
    return Enrolled(
        mchid=mchid,
        appid=appid,
        serial_no=merchant.serial_no,
        private_key_pem=private_key_pem,
        api_v3_key=merchant.api_v3_key,
        platform_key_id=shown["platform_key_id"],
        platform_public_key_pem=shown["platform_public_key_pem"],
    )


def call_control(control_url: str, path: str, body: object = None) -> Any:
    """Call a control port once; see ``LocalWorld.control``."""
    method = "GET" if body is None else "POST"
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        reply = client.request(method, control_url + path, json=body)
        reply.raise_for_status()
        return reply.json()
