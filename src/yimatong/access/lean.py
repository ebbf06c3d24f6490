"""Lean routes: hot operations that go from the signed edge straight to their function, past the framework.

The framework's own route says everything once: path, permission, body, status. It is what the document describes, and a
lean route reads from it what it needs, runs the same function and answers in the same form. What the framework costs a
request (matching, groups of dependencies, response objects) is most of what a small operation costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from yimatong.access.asgi import BODY_BYTES_MAX, ASGIApp, ASGIScope, Receive, Send, read_body
from yimatong.access.edge import Call
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.web import Arrival

_PART = re.compile(r"\{(\w+):str\}")
_DONE = (b"content-type", b"application/json"), (b"cache-control", b"no-store")


class LeanRoute:
    """One operation of a lean application."""

    def __init__(self, handler: HTTPRouteHandler, given: Mapping[str, object]) -> None:
        """Read a route of the framework; ``given`` are the values of the application by the names of parameters.

        Raises:
            TypeError: a parameter is neither in the path, nor the body, nor given; or the path's parts or the route
                itself ask for checks that only the framework makes.
        """
        (self.path,) = handler.paths
        (self.method,) = handler.http_methods
        self.pattern = re.compile(_PART.sub(r"(?P<\1>[^/]+)", self.path))
        self.public = bool(handler.opt.get("public"))
        self._permission = str(handler.opt.get("permission", ""))
        self._personal = handler.opt.get("reads") == "personal"
        self._act = handler.fn
        self._status = int(handler.status_code or 200)
        self._who = "arrival" if self.public else "call"
        parameters = handler.parsed_fn_signature.parameters
        body = parameters.get("data")
        self._decoder = None if body is None else msgspec.json.Decoder(body.annotation)
        asked = set(parameters) - set(self.pattern.groupindex) - {"data", self._who}
        bounded = any(_is_bounded(parameters[name].kwarg_definition) for name in self.pattern.groupindex)
        if not asked <= set(given) or self._who not in parameters or bounded or handler.guards:
            message = f"{self.method} {self.path}: only the framework can answer this"
            raise TypeError(message)
        self._given = {name: given[name] for name in asked}

    async def signed(self, call: Call, parts: Mapping[str, str], body: bytes) -> tuple[int, list[Any], bytes]:
        """Answer a caller whose signature held; returns status, headers and body.

        Raises:
            NotPermitted: without the route's permission. msgspec.DecodeError: the body is not as documented.
        """
        call.caller.require(self._permission)
        data = {} if self._decoder is None else {"data": self._decoder.decode(body)}
        return self._written(await self._act(call=call, **parts, **data, **self._given))

    async def unsigned(self, arrival: Arrival, parts: Mapping[str, str]) -> tuple[int, list[Any], bytes]:
        """Answer on a public path: the function itself judges what it may believe."""
        return self._written(await self._act(arrival=arrival, **parts, **self._given))

    def call(self, scope: ASGIScope, *, db: Database, vault: Vault) -> Call:
        """Return the call that the edge left in the scope."""
        return Call(scope=scope, db=db, vault=vault, action=self._permission, personal=self._personal)

    def _written(self, answer: Any) -> tuple[int, list[Any], bytes]:
        if not isinstance(answer, Response):
            body = msgspec.json.encode(answer)
            return self._status, [*_DONE, _length(body)], body
        body, media = answer.content, str(answer.media_type or "application/json")
        media += "; charset=utf-8" if media.startswith("text/") else ""  # as the framework does
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        return answer.status_code or self._status, [(b"content-type", media.encode()), *headers, _length(body)], body


def _is_bounded(definition: Any) -> bool:
    return any(getattr(definition, name) is not None for name in ("pattern", "min_length", "max_length", "enum"))


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)


class Lean:
    """ASGI between the edge and the framework: answers its routes and hands everything else on."""

    def __init__(self, app: ASGIApp, routes: Iterable[LeanRoute], *, db: Database, vault: Vault) -> None:
        """Keep the application behind and the routes."""
        self._app = app
        self._db, self._vault = db, vault
        every = list(routes)
        self._fixed = {(route.method, route.path): route for route in every if not route.pattern.groups}
        self._open = [route for route in every if route.pattern.groups]

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request; errors are the edge's, as they are the framework's."""
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, parts = found
        if route.public:
            arrival = Arrival(scope["headers"], lambda: read_body(receive, limit_bytes=BODY_BYTES_MAX))
            status, headers, body = await route.unsigned(arrival, parts)
        else:
            call = route.call(scope, db=self._db, vault=self._vault)
            status, headers, body = await route.signed(call, parts, scope["state"]["body"])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _find(self, scope: ASGIScope) -> tuple[LeanRoute, dict[str, str]] | None:
        method, path = scope["method"], scope["path"]
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        for route in self._open:
            if route.method == method and (found := route.pattern.fullmatch(path)) is not None:
                return route, found.groupdict()
        return None
