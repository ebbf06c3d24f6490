"""The edge of the native API: authenticates the request, signs the answer, and runs one transaction a request.

``SignedEdge`` is ASGI middleware: it reads the body (limited), checks the caller's signature (and the front's, where
the request came through one), takes the nonce, and signs whatever the application answers. ``Call`` is what an endpoint
receives: who calls, and ``read`` / ``write`` to run its query or its service verb in a transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Self, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from yimatong.access import idempotency, request_auth
from yimatong.access.asgi import (
    BODY_BYTES_MAX,
    Answer,
    ASGIApp,
    ASGIScope,
    Receive,
    Send,
    problem_answer,
    read_body,
    replay,
    target,
)
from yimatong.access.caller import Caller
from yimatong.access.callers import Directory, KnownCaller
from yimatong.access.errors import (
    CallerNotApproved,
    CallerUnknown,
    FrontNotGenuine,
    FrontRequired,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    NonceRepeated,
    NotPermitted,
    NotSigned,
    TimestampOutOfWindow,
)
from yimatong.access.shared import Payload, SharedRead, SharedWrite, route_noted
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.crypto.vault import Vault
from yimatong.kit import clock
from yimatong.kit.db import Batch, Connection, Database
from yimatong.kit.errors import BodyTooLarge, DatabaseUnavailable, InvalidInput, PlatformError
from yimatong.kit.ids import new_id
from yimatong.kit.together import Piece, together
from yimatong.kit.web import PROBLEM_JSON, Problem, log_failure, translate

_READ_HEADERS = frozenset({b"authorization", b"idempotency-key", b"ymt-front", b"accept-language"})

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Call:
    """One authenticated request: who calls, when, and the transaction it runs in."""

    def __init__(self, *, scope: ASGIScope, db: Database, vault: Vault, action: str, personal: bool) -> None:
        """Read what the edge left in the scope; ``action`` is the route's permission."""
        state = scope["state"]
        self.caller: Caller = state["caller"]
        self.db = db
        self.vault = vault
        self.now: datetime = state["now"]
        self.request_id: str = state["request_id"]
        self.nonce: str = state["nonce"]
        self.key: str = state["idempotency_key"]
        """The caller's idempotency key; empty when it sent none."""
        self._scope = scope
        self._action = action
        self._personal = personal
        self._path: str = scope["path"]

    @classmethod
    def of(cls, request: Request[Any, Any, Any], *, db: Database, vault: Vault) -> Self:
        """Return the call of a request that came by the framework."""
        opt = request.route_handler.opt
        action, personal = str(opt["permission"]), opt.get("reads") == "personal"
        return cls(scope=cast("ASGIScope", request.scope), db=db, vault=vault, action=action, personal=personal)

    async def read(self, query: Callable[[Connection], Awaitable[Shape]]) -> Shape:
        """Run a query; where the route reads personal data the audit row is written with it."""
        if not self._personal:
            async with self.db.read() as connection:
                return await query(connection)
        async with self.db.transaction() as connection:
            found = await query(connection)
            await self.note(connection)
            return found

    async def write(
        self, verb: Callable[[Connection], Awaitable[msgspec.Struct]], *, status: int = 201
    ) -> Response[bytes]:
        """Run a verb once for the caller's idempotency key, with its audit row, and answer in JSON.

        The same key with the same request gives the first answer again; two at once wait for each other.

        Raises:
            IdempotencyKeyMissing: no key. IdempotencyKeyReused: the key stands for another request.
        """
        async with self.db.transaction() as connection:
            slot = await self._slot()
            first = await slot.take(connection, now=self.now)
            if first is None:
                first = status, msgspec.json.encode(await verb(connection))
                await together(connection, self.noting(), slot.keeping(*first))
            elif self._personal:
                await self.note(connection)
        return _json(first)

    async def write_shared(
        self, batch: Batch[SharedWrite[Payload], tuple[int, bytes]], payload: Payload
    ) -> Response[bytes]:
        """Do the same in a transaction that concurrent requests share; ``payload`` is what the batch's verb takes.

        Raises:
            IdempotencyKeyMissing, IdempotencyKeyReused: see ``write``.
        """
        write = SharedWrite(
            caller=self.caller,
            key=self.key,
            digest=self._digest(),
            request_id=self.request_id,
            action=self._action,
            path=self._path,
            personal=self._personal,
            now=self.now,
            payload=payload,
        )
        return _json(await batch.submit(write))

    async def read_shared(self, batch: Batch[SharedRead[Payload], bytes], payload: Payload) -> Response[bytes]:
        """Answer a personal read in a transaction that concurrent requests share; its audit row is written with it."""
        read = SharedRead(
            caller=self.caller,
            request_id=self.request_id,
            action=self._action,
            path=self._path,
            now=self.now,
            payload=payload,
        )
        return _json((_OK, await batch.submit(read)))

    async def answered_before(self) -> Response[bytes] | None:
        """Return the first answer to this very write, if it was given one.

        For a verb that asks an outside party before its transaction: a repeat does not need the party any more.

        Raises:
            IdempotencyKeyMissing, IdempotencyKeyReused: see ``write``.
        """
        async with self.db.transaction() as connection:
            first = await (await self._slot()).find(connection)
            if first is not None and self._personal:
                await self.note(connection)
        return None if first is None else _json(first)

    async def _slot(self) -> idempotency.Slot:
        return idempotency.Slot(self.caller.caller_id, self.key, self._digest(), await self.vault.sealer("answers"))

    def _digest(self) -> bytes:
        idempotency.require(self.key)
        return idempotency.digest(self._scope["method"], target(self._scope), self._scope["state"]["body"])

    async def note(self, connection: Connection) -> None:
        """Write this request's audit row into an open transaction."""
        await together(connection, self.noting())

    def noting(self) -> Piece:
        """Return the piece of :meth:`note`, for a statement that writes more."""
        return route_noted(self.caller, action=self._action, path=self._path, request_id=self.request_id, now=self.now)


def _json(answer: tuple[int, bytes]) -> Response[bytes]:
    status, body = answer
    headers = {"cache-control": "no-store"}
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def documented(
    view: type[msgspec.Struct], *errors: type[PlatformError], status: int = 201, keyed: bool | None = None
) -> dict[int, ResponseSpec]:
    """Describe the answers of an operation for the OpenAPI document: its view, and its errors by status and code.

    ``keyed`` says whether it needs an idempotency key; by default what answers 201 does.
    """
    by_status: dict[int, list[type[PlatformError]]] = {}
    needs_key = status == _CREATED if keyed is None else keyed
    for error in (*errors, *_EVERYWHERE, *(_KEYED if needs_key else ())):
        by_status.setdefault(error.status, []).append(error)
    answers = {
        number: ResponseSpec(
            Problem,
            generate_examples=False,
            media_type=PROBLEM_JSON,
            description="; ".join(f"{error.code} {error.en}" for error in listed),
        )
        for number, listed in by_status.items()
    }
    return {status: ResponseSpec(view, generate_examples=False, description="done"), **answers}


_OK, _CREATED = 200, 201
_KEYED: tuple[type[PlatformError], ...] = (IdempotencyKeyMissing, IdempotencyKeyReused)
_EVERYWHERE: tuple[type[PlatformError], ...] = (
    InvalidInput,
    BodyTooLarge,
    NotSigned,
    CallerUnknown,
    CallerNotApproved,
    TimestampOutOfWindow,
    NonceRepeated,
    NotPermitted,
    DatabaseUnavailable,
)


async def require_permission(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard of every route: the caller must have the permission that the route names.

    Guards are coroutines: the framework runs plain functions in a thread.
    """
    if handler.opt.get("public"):
        return
    caller: Caller | None = connection.scope["state"].get("caller")
    if caller is None:
        raise NotSigned(detail="Authorization")
    caller.require(str(handler.opt["permission"]))


async def require_exact_body(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard of every route: the body has exactly the documented types; the framework alone would take ``"5"`` for 5.

    Raises:
        msgspec.DecodeError: answered as ``InvalidInput``.
    """
    decoder = _decoder(handler)
    if decoder is not None:
        decoder.decode(connection.scope["state"]["body"])


@lru_cache(maxsize=256)
def _decoder(handler: BaseRouteHandler) -> msgspec.json.Decoder[Any] | None:
    field = handler.parsed_fn_signature.parameters.get("data")
    return None if field is None else msgspec.json.Decoder(field.annotation)


class SignedEdge:
    """ASGI middleware around the application of the core.

    ``own_nonce`` are paths whose handler takes the nonce in its own (shared) transaction.
    """

    def __init__(
        self, app: ASGIApp, *, directory: Directory, public: Callable[[str], bool], own_nonce: frozenset[str]
    ) -> None:
        """Keep the application; paths for which ``public`` holds pass unsigned."""
        self._app = app
        self._directory = directory
        self._public = public
        self._own_nonce = own_nonce

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Handle one connection of the server."""
        if scope["type"] != "http" or self._public(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in _READ_HEADERS
        }
        state = scope.setdefault("state", {})
        state["request_id"] = new_id("req")
        now = clock.now()
        signer: tuple[HmacSm3, str] | None = None
        try:
            body = await read_body(receive, limit_bytes=BODY_BYTES_MAX)
            known, nonce = await self.authenticate(scope, headers, body, now=now)
            signer = known.key, nonce
            if scope["path"] not in self._own_nonce:
                await self._directory.take_nonce(known.caller.caller_id, nonce, now=now)
            key = headers.get("idempotency-key", "")
            state |= {
                "caller": known.caller,
                "now": now,
                "nonce": nonce,
                "idempotency_key": key,
                "body": body,
            }
            answer = Answer()
            await self._app(scope, replay(body, receive), answer.collect)
        except Exception as error:  # noqa: BLE001 -- the last resort of the edge: every failure gets its problem document
            refusal = translate(error)
            log_failure(error, refusal, request_id=state["request_id"], path=scope["path"])
            answer = problem_answer(refusal, request_id=state["request_id"], headers=headers)
        await answer.send(send, signer=signer, now=now, request_id=state["request_id"])

    async def authenticate(
        self, scope: ASGIScope, headers: dict[str, str], body: bytes, *, now: datetime
    ) -> tuple[KnownCaller, str]:
        """Return the caller whose signature holds, and its nonce.

        Raises:
            NotSigned, CallerUnknown, CallerNotApproved, TimestampOutOfWindow: the caller's signature.
            FrontNotGenuine, FrontRequired: the channel it came through.
        """
        authorization, key = headers.get("authorization", ""), headers.get("idempotency-key", "")
        known, nonce = await self._signer(scope, authorization, bound=key, body=body, now=now)
        if "ymt-front" in headers:
            front_id = await self._check_front(scope, headers, body, known=known, now=now)
            return msgspec.structs.replace(
                known, caller=msgspec.structs.replace(known.caller, front_id=front_id)
            ), nonce
        if known.through_front:
            raise FrontRequired
        return known, nonce

    async def _check_front(
        self, scope: ASGIScope, headers: dict[str, str], body: bytes, *, known: KnownCaller, now: datetime
    ) -> str:
        """Check the front's own signature around the caller's; a stolen front cannot invent a terminal."""
        authorization = headers.get("authorization", "")
        front, _ = await self._signer(scope, headers["ymt-front"], bound=authorization, body=body, now=now)
        own = front.caller.institution_id
        if front.caller.kind != "front" or (own is not None and own != known.caller.institution_id):
            raise FrontNotGenuine(audit=f"{front.caller.caller_id} carried {known.caller.caller_id}")
        return front.caller.caller_id

    async def _signer(
        self, scope: ASGIScope, header: str, *, bound: str, body: bytes, now: datetime
    ) -> tuple[KnownCaller, str]:
        """Return the approved caller whose signature in ``header`` holds now, and its nonce."""
        given = request_auth.parse(header)
        known = await self._directory.get(given.caller_id)
        signed = request_auth.request_text(
            method=scope["method"],
            target=target(scope),
            timestamp=given.timestamp,
            nonce=given.nonce,
            bound=bound,
            body=body,
        )
        request_auth.check_signature(known.key, signed, given.signature)
        known.require_approved()
        request_auth.check_window(given.timestamp, now=now)
        return known, given.nonce
