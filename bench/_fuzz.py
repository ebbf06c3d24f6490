"""Seeded, structure-aware mutation of what payment channels send: the engine under ``ymt bench payments-fuzz``.

A target is one way in: samples that are genuine, and ``act``, which reads one and returns its facts. Every execution
takes a sample and breaks it: bits, chunks and splices of bytes; fields of JSON, forms and XML dropped, doubled, emptied
or given another's value; amounts altered; headers of another message, another key, another time; another account. A
*crash* is any exception that is not one of the platform's named errors. A *forgery* is a signed target that takes
something whose facts no genuine sample of that account has. Executions that break nothing must be taken.
"""

from __future__ import annotations

import base64
import json
import random
import re
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from yimatong.kit.errors import PlatformError

Headers = dict[str, str]
Message = tuple[Headers, bytes]
UNBROKEN = 50
"""Every so many executions one sample is read as it is."""
KEPT = 5
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 0.1, -0.0, 1e308, "", "0", "-1", "1e9", "NaN", " ", "\x00"),
    *("９", "\ud800", "𝟙", "A" * 5000, [], {}, [[]], {"a": 1}, "2026-02-30T00:00:00+08:00", "9999-12-31T23:59:59Z"),
    *("SUCCESS", "TRADE_SUCCESS", "00", "CLOSED", "../../etc", "%00", "&", "=", "\r\n", "<!DOCTYPE x>", "&amp;"),
)
_ODD_HEADERS = tuple(text for text in map(str, _ODD) if text.isprintable() and all(ord(sign) < 256 for sign in text))
"""What HTTP can carry in a header, and the edge hands over: printable Latin-1."""
_NUMBER = re.compile(rb"\d+")
_TAG = re.compile(rb"<([A-Za-z_:][\w:.-]*)>([^<]*)</\1>")
_FIELD = re.compile(rb"[^&]+")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One way in. ``accounts[0]`` is the one that the samples are for; ``strays`` are messages that nobody may take."""

    name: str
    shape: str  # json, form, xml or bytes
    samples: Sequence[Message]
    act: Callable[[Any, Headers, bytes], object]
    accounts: Sequence[Any]
    signed: bool = True
    weight: int = 1
    strays: Sequence[Message] = ()
    expected: tuple[type[Exception], ...] = ()
    """Named errors of a pure decoder that its caller maps to the platform's."""


@dataclass
class Tally:
    """What happened. ``found`` keeps the first crashes and forgeries, each with what made it."""

    executions: int = 0
    accepted: int = 0
    crashes: int = 0
    forgeries: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep one of the first findings."""
        if len(self.found) < KEPT:
            self.found.append(text)


class NothingGenuine(Exception):
    """A sample that must be read was not: the target proves nothing."""


class Fuzzer:
    """Runs one target with one seed; the same seed does the same."""

    def __init__(self, target: Target, *, seed: int) -> None:
        """Read every sample unbroken. Raises ``NothingGenuine`` when one is refused."""
        self.target = target
        self._random = random.Random(f"{seed}/{target.name}")
        self.tally = Tally()
        self._genuine: set[bytes] = set()
        for headers, body in target.samples:
            try:
                self._genuine.add(_facts(target.act(target.accounts[0], dict(headers), body)))
            except Exception as error:
                message = f"{target.name}: a genuine sample is refused: {error!r} {getattr(error, 'audit', '')}"
                raise NothingGenuine(message) from error

    def run(self, executions: int) -> Tally:
        """Execute so many times."""
        for _ in range(executions):
            self.one()
        return self.tally

    def one(self) -> None:
        """Execute once."""
        target, tally, draw = self.target, self.tally, self._random
        tally.executions += 1
        account = target.accounts[0]
        headers, body = draw.choice(target.samples)
        whole = tally.executions % UNBROKEN == 0
        if not whole:
            account, headers, body = self._broken(account, headers, body)
        try:
            facts = target.act(account, dict(headers), body)
        except (PlatformError, *target.expected) as error:
            tally.refusals[getattr(error, "code", "") or type(error).__name__] += 1
            if whole:
                tally.crashes += 1
                tally.note(f"{target.name}: a genuine sample is refused: {error!r}")
            return
        except Exception as error:  # noqa: BLE001 -- this is what is looked for
            tally.crashes += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename}:{where.lineno}"
            tally.note(f"{target.name}: {error!r} at {place}\n  headers {headers}\n  body {body[:600]!r}")
            return
        tally.accepted += 1
        if target.signed and (account is not target.accounts[0] or _facts(facts) not in self._genuine):
            tally.forgeries += 1
            tally.note(f"{target.name}: taken: {facts!r}\n  headers {headers}\n  body {body[:600]!r}")

    def _broken(self, account: Any, headers: Headers, body: bytes) -> tuple[Any, Headers, bytes]:
        draw, target = self._random, self.target
        chance = draw.random()
        if chance < 0.05 and target.strays:
            headers, body = draw.choice(target.strays)
            return account, headers, body
        if chance < 0.10 and len(target.accounts) > 1:
            return draw.choice(target.accounts[1:]), headers, body
        if chance < 0.35 and headers:
            headers = self._headers(headers)
            return account, headers, body if draw.random() < 0.7 else self._body(body)
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            body = self._body(body)
        return account, headers, body

    def _headers(self, headers: Headers) -> Headers:
        draw, made = self._random, dict(headers)
        name = draw.choice(list(made))
        way = draw.randrange(7)
        if way == 0:
            del made[name]
        elif way == 1:
            other = draw.choice((*self.target.samples, *self.target.strays))[0]
            made[name] = other.get(name, "")
        elif way == 2:
            made[name] = draw.choice(_ODD_HEADERS)
        elif way == 3:
            made[name] = self._text(made[name])
        elif way == 4:
            made[name] = base64.b64encode(draw.randbytes(draw.choice((0, 1, 64, 256, 257)))).decode()
        elif way == 5:
            made[name] = str(int(made[name]) + draw.choice((-1, 1, 299, -301, 10**6))) if made[name].isdigit() else ""
        else:
            made = dict(draw.choice((*self.target.samples, *self.target.strays))[0])
        return made

    def _text(self, text: str) -> str:
        place = self._random.randrange(len(text) + 1)
        return text[:place] + self._random.choice(("", "x", "0", "=", " ", "é", "²")) + text[place + 1 :]

    def _body(self, body: bytes) -> bytes:
        if self._random.random() < 0.5:
            shaped = {"json": self._json, "form": self._form, "xml": self._xml}.get(self.target.shape)
            if shaped is not None:
                return shaped(body)
        return self._bytes(body)

    def _bytes(self, body: bytes) -> bytes:
        """Change bytes: a bit, a splice, a chunk dropped, doubled, put in or cut off, a number, another message."""
        draw = self._random
        a, b = sorted((draw.randrange(len(body) + 1), draw.randrange(len(body) + 1)))
        ways: tuple[Callable[[], bytes], ...] = (
            lambda: self._bit(body),
            lambda: body[:a] + draw.choice(self.target.samples)[1][b:],
            lambda: body[:a] + body[b:],
            lambda: body[:b] + body[a:],
            lambda: body[:a] + draw.randbytes(draw.randrange(1, 9)) + body[a:],
            lambda: body[:a],
            lambda: self._number(body),
            lambda: draw.choice((*self.target.samples, *self.target.strays))[1],
        )
        return draw.choice(ways)()

    def _bit(self, body: bytes) -> bytes:
        place = self._random.randrange(len(body) or 1)
        return body[:place] + bytes([(body or b"\0")[place] ^ (1 << self._random.randrange(8))]) + body[place + 1 :]

    def _number(self, body: bytes) -> bytes:
        draw, numbers = self._random, list(_NUMBER.finditer(body))
        if not numbers:
            return self._bit(body)
        found = draw.choice(numbers)
        other = draw.choice((b"0", b"1", b"99999999999", b"-1", found[0] + b"0", found[0][:-1] or b"7", b"1.5"))
        return body[: found.start()] + other + body[found.end() :]

    def _json(self, body: bytes) -> bytes:
        """Change one field somewhere inside; what is no JSON any more is changed as bytes."""
        draw = self._random
        try:
            tree = json.loads(body)
        except (ValueError, RecursionError):
            return self._bytes(body)
        places = list(_places(tree))
        if not places:
            return json.dumps(draw.choice(_ODD)).encode()
        holder, name = draw.choice(places)
        way = draw.randrange(6)
        if way == 0:
            del holder[name]
        elif way == 1 and isinstance(holder, dict):
            holder[name + draw.choice(("", " ", "2"))] = draw.choice(_ODD)
        elif way == 2:
            other, key = draw.choice(places)
            holder[name] = json.loads(json.dumps(other[key])) if key in other or isinstance(key, int) else None
        elif way == 3 and isinstance(holder[name], int):
            holder[name] += draw.choice((1, -1, 100, 10**12))
        elif way == 4 and isinstance(holder, dict):  # the same name twice: which one counts?
            text = json.dumps(tree, ensure_ascii=False)
            mark = json.dumps(name, ensure_ascii=False) + ": "
            twice = mark + json.dumps(draw.choice(_ODD)) + ", " + mark
            return text.replace(mark, twice, 1).encode("utf-8", "surrogatepass")
        else:
            holder[name] = draw.choice(_ODD)
        return json.dumps(tree, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")

    def _form(self, body: bytes) -> bytes:
        """Change one ``name=value`` of a form."""
        draw = self._random
        pairs = _FIELD.findall(body)
        if not pairs:
            return self._bytes(body)
        place = draw.randrange(len(pairs))
        name, _, value = pairs[place].partition(b"=")
        way = draw.randrange(6)
        if way == 0:
            del pairs[place]
        elif way == 1:
            pairs.insert(draw.randrange(len(pairs) + 1), pairs[place])
        elif way == 2:
            pairs[place] = name + b"=" + draw.choice(pairs).partition(b"=")[2]
        elif way == 3:
            pairs.append(name + b"=" + str(draw.choice(_ODD)).encode("utf-8", "replace"))
        elif way == 4:
            draw.shuffle(pairs)
        else:
            pairs[place] = name + b"=" + (str(draw.choice(_ODD)).encode("utf-8", "replace") if way else value)
        return b"&".join(pairs)

    def _xml(self, body: bytes) -> bytes:
        """Change one leaf of an XML document."""
        draw = self._random
        leaves = list(_TAG.finditer(body))
        if not leaves:
            return self._bytes(body)
        leaf, other = draw.choice(leaves), draw.choice(leaves)
        way = draw.randrange(4)
        inside = (b"", leaf[0] * 2, b"<%s>%s</%s>" % (leaf[1], other[2], leaf[1]))[way] if way < 3 else b""
        if way == 3:
            odd = str(draw.choice(_ODD)).encode("utf-8", "replace")
            inside = b"<%s>%s</%s>" % (leaf[1], odd, leaf[1])
        return body[: leaf.start()] + inside + body[leaf.end() :]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack and len(found) < 500:
        node = stack.pop()
        names = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for name in names:
            found.append((node, name))
            stack.append(node[name])
    return found


def _facts(facts: object) -> bytes:
    if isinstance(facts, bytes):
        return facts
    try:
        return msgspec.json.encode(facts, order="sorted")
    except (UnicodeEncodeError, OverflowError):  # text or numbers that JSON cannot carry
        return repr(facts).encode("utf-8", "backslashreplace")


def lowered(headers: Mapping[str, str]) -> Headers:
    """Return headers with lower-case names."""
    return {name.lower(): value for name, value in headers.items()}
