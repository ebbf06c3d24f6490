"""A lean route answers as the framework's own route would: the same status, code, headers and body, good or bad."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from litestar import get, post
from litestar.params import FromPath, JSONBody, PathParameter

from yimatong.access.lean import LeanRoute
from yimatong.apps import core
from yimatong.cards.codes.schemas import CodeToVerify
from yimatong_sdk.signing import Signer

PLAIN = {"description": "缴费", "items": [{"name": "西药费", "amount_fen": 100}], "amount_fen": 100}
ORDERS, VERIFY, CODES = "/api/v1/orders", "/api/v1/codes/verify", "/api/v1/codes"
ATTEMPTS = "/api/v1/orders/P20260101000000000001/attempts"
_CHANGING = {"date", "ymt-request-id", "ymt-timestamp", "ymt-signature", "content-length", "server"}


@pytest.fixture(scope="module")
def plain_url(settings, secrets_of, serve):
    """The same core without lean routes: everything goes through the framework."""

    def build():
        with pytest.MonkeyPatch.context() as changed:
            changed.setattr(core, "_LEAN", ())
            return core.build(settings)

    return serve(build)


@pytest.fixture(scope="module")
def ask(core_url, plain_url, secrets_of) -> Callable[..., tuple[httpx.Response, httpx.Response]]:
    """Send a request to both cores, each with a signature of its own; return both answers."""

    def go(who: str, method: str, path: str, body: bytes = b"", *, key: str | None = None, **headers: str) -> Any:
        answers = []
        for url in (core_url, plain_url):
            own = secrets.token_hex(8) if key is None else key
            signed = {}
            if who:
                signed, _ = Signer(who, secrets_of[who]).headers(method, path, body, idempotency_key=own)
            with httpx.Client(base_url=url, trust_env=False) as client:
                answers.append(client.request(method, path, content=body, headers={**signed, **headers}))
        return tuple(answers)

    return go


def told(answer: httpx.Response) -> tuple[Any, ...]:
    """Return what may not differ of an answer."""
    headers = {name: value for name, value in answer.headers.items() if name not in _CHANGING}
    content = answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer.content
    if isinstance(content, dict):
        content.pop("request_id", None)
    return answer.status_code, headers, content


def new_order(**changes: Any) -> bytes:
    return json.dumps(PLAIN | {"source_no": secrets.token_hex(6)} | changes).encode()


BAD = {
    "not JSON": (ORDERS, b"{", {}),
    "no body": (ORDERS, b"", {}),
    "not an object": (ORDERS, b"[]", {}),
    "a number as text": (ORDERS, json.dumps(PLAIN | {"source_no": "S1", "amount_fen": "100"}).encode(), {}),
    "an unknown field": (ORDERS, json.dumps(PLAIN | {"source_no": "S1", "x": 1}).encode(), {}),
    "a missing field": (ORDERS, b'{"source_no": "S1"}', {}),
    "not UTF-8": (ORDERS, b'{"source_no": "\xff"}', {}),
    "deep": (ORDERS, b"[" * 3000 + b"]" * 3000, {}),
    "sums disagree": (ORDERS, json.dumps(PLAIN | {"source_no": "S2", "amount_fen": 99}).encode(), {}),
    "in English": (ORDERS, b"{", {"accept-language": "en"}),
    "another media type": (ORDERS, b"{", {"content-type": "text/plain"}),
    "no such order": (ATTEMPTS, b'{"channel": "wechat", "scene": "native"}', {}),
    "no such scene": (ATTEMPTS, b'{"channel": "wechat", "scene": "telepathy"}', {}),
    "a code that is none": (VERIFY, b'{"code": "x", "purpose": "visit"}', {}),
    "no purpose": (VERIFY, b'{"code": "x"}', {}),
    "an empty part": ("/api/v1/orders//attempts", b'{"channel": "wechat", "scene": "native"}', {}),
    "an encoded part": ("/api/v1/orders/%E4%B8%AD/attempts", b'{"channel": "wechat", "scene": "native"}', {}),
    "an encoded slash": ("/api/v1/orders/a%2Fb/attempts", b'{"channel": "wechat", "scene": "native"}', {}),
    "a slash at the end": (ORDERS + "/", b"{}", {}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_is_refused_in_the_same_words(ask, name):
    path, body, headers = BAD[name]
    lean, plain = ask("his-1", "POST", path, body, **headers)
    assert told(lean) == told(plain)
    assert lean.status_code >= 400
    assert lean.status_code < 500


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", [ORDERS, VERIFY, ATTEMPTS, "/notify/wechat/x"])
def test_other_methods_are_the_frameworks(ask, method, path):
    lean, plain = ask("his-1", method, path)
    assert told(lean) == told(plain)


@pytest.mark.parametrize(("who", "path"), [("app-1", VERIFY), ("front-1", ORDERS), ("term-1", ORDERS), ("", ORDERS)])
def test_without_permission(ask, who, path):
    lean, plain = ask(who, "POST", path, new_order())
    assert told(lean) == told(plain)
    assert lean.status_code in (401, 403)


@pytest.mark.parametrize("path", [ORDERS, VERIFY, CODES])
def test_without_a_key(ask, path):
    body = new_order() if path == ORDERS else b'{"code": "x", "purpose": "visit"}'
    lean, plain = ask("his-1", "POST", path, body, key="")
    assert told(lean) == told(plain)
    assert lean.status_code in (400, 422)


def test_what_is_done_is_told_in_the_same_form(ask):
    for body in (new_order(), new_order(callback_url="https://his.example.test/paid")):
        lean, plain = (told(answer) for answer in ask("his-1", "POST", ORDERS, body, key=secrets.token_hex(8)))
        assert (lean[0], lean[1], sorted(lean[2])) == (plain[0], plain[1], sorted(plain[2]))


def test_a_repeat_by_the_other_way_is_the_same_answer(ask):
    key, body = secrets.token_hex(8), new_order()
    lean, plain = ask("his-1", "POST", ORDERS, body, key=key)
    assert lean.status_code == 201
    assert lean.content == plain.content


@pytest.mark.parametrize("path", ["/notify/wechat/nobody", "/notify/nothing/nobody", "/notify/alipay/%E4%B8%AD"])
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"a=1&b=2", b"\xff" * 100, b"x" * 70_000], ids=["none", "json", "form", "bytes", "large"]
)
def test_notices_that_are_not_genuine(ask, path, body):
    lean, plain = ask("", "POST", path, body)
    assert told(lean) == told(plain)
    assert lean.status_code >= 400 or lean.content == b"failure"


class TestWhatOnlyTheFrameworkCanAnswer:
    """Such a route is refused at the start, so that no check is lost on the way."""

    def test_a_bounded_part(self):
        @post("/x/{no:str}", permission="orders:write")
        async def bounded(no: Annotated[str, PathParameter(pattern="^[0-9]+$")], call: Any) -> None: ...

        with pytest.raises(TypeError, match="/x/"):
            LeanRoute(bounded, {})

    def test_a_query(self):
        @get("/x/{no:str}", permission="orders:read")
        async def asking(no: FromPath[str], call: Any, limit: int = 5) -> None: ...

        with pytest.raises(TypeError, match="/x/"):
            LeanRoute(asking, {})

    def test_a_guard_of_its_own(self):
        async def guard(*_: Any) -> None: ...

        @post("/x", permission="orders:write", guards=[guard])
        async def guarded(data: JSONBody[CodeToVerify], call: Any) -> None: ...

        with pytest.raises(TypeError, match="/x"):
            LeanRoute(guarded, {})

    def test_one_without_a_caller(self):
        @post("/x", permission="orders:write")
        async def alone(data: JSONBody[CodeToVerify]) -> None: ...

        with pytest.raises(TypeError, match="/x"):
            LeanRoute(alone, {})
