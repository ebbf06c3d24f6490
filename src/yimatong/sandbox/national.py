"""A simulated national person index (国家居民跨域主索引): HL7 v3 in SOAP 1.1 on ``POST /national/HIPMessageServer``.

Written from WS/T 448-2014 and docs/spec/national.md. A message that comes twice under one id is answered as the first
time. Persons with one certificate, name and sex are one person; the others of a province that look alike are told as
``duplicates_found``. Who changes is ``distributed`` to the other provinces that know her. Notices wait until the next
question acknowledges them. The control port enters persons of other provinces, merges, and makes it misbehave.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.sandbox import national_wire as wire
from yimatong.sandbox.national_wire import Ref, Said, Talk
from yimatong.sandbox.signed import PartyError, Wire, parties
from yimatong.sandbox.store import Store
from yimatong.standards.errors import IdNumberInvalid
from yimatong.standards.id_number import normalise, parse

PARTY: Final = "national"
RESIDENT_ID: Final = "2.16.156.10011.1.3"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A person: what was said of her last, and under which references provinces know her."""

    national_id: str
    said: Said
    refs: tuple[Ref, ...]
    at: datetime
    merged_into: str = ""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was worked on, and its answer."""

    message_id: str
    sender: str
    interaction: str
    content: str
    answer: str
    at: datetime
    times: int = 1


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A notice in a province's mailbox (``root``: its domain of references)."""

    seq: int
    notice_id: str
    root: str
    kind: str
    at: datetime
    national_id: str
    refs: tuple[Ref, ...]
    others: tuple[Ref, ...]
    said: Said


class Moods(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it behaves from now on: refuses that many messages, sends notices twice, or in reverse order."""

    refuse: int = 0
    reason: Annotated[str, Meta(pattern="^[A-Z_]{1,40}(?!\\n)$")] = "NAME"
    twice: bool = False
    reverse: bool = False


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What another province says of a person; the same ``ref`` again is a revision. ``at``: when, else now."""

    ref: str
    said: Said
    root: str = "2.25.1"
    at: datetime | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two references (extensions) of one province, and the certificate under which both are one person."""

    survivor: str
    other: str
    certificate: str = ""


class Index:
    """The books of the national index."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.persons = store.table("national.persons", Known)
        self.heard = store.table("national.heard", Heard)
        self.notices = store.table("national.notices", Waiting)
        self.moods = Moods()
        self._seq = max((each.seq for each in self.notices), default=0)
        self._of_ref: dict[Ref, str] = {}
        self._alike: dict[tuple[str, ...], set[str]] = {}
        for each in self.persons:
            self._remember(each)

    def of_ref(self, ref: Ref) -> Known | None:
        """Return who stands behind a province's reference."""
        found = self.persons.get(self._of_ref.get(ref, ""))
        return None if found is None or ref not in found.refs else found

    def handle(self, talk: Talk, content: str, *, now: datetime) -> str:
        """Work on a message once, and answer it the same way ever after."""
        before = self.heard.get(talk.message_id)
        if before is not None:
            self.heard.put(talk.message_id, replace(before, times=before.times + 1))
            if before.content != content:
                return wire.answer(talk, refused="DUPLICATE_MESSAGE")
            return before.answer
        answer = self._worked(talk, now=now)
        self.heard.put(
            talk.message_id,
            Heard(
                message_id=talk.message_id,
                sender=talk.sender,
                interaction=talk.interaction,
                content=content,
                answer=answer,
                at=now,
            ),
        )
        return answer

    def _worked(self, talk: Talk, *, now: datetime) -> str:
        refused = self._refused(talk, now=now)
        if refused:
            return wire.answer(talk, refused=refused)
        if talk.interaction == "PRPA_IN201311UV02":
            return wire.answer(talk, national_id=self.add(talk.ref, talk.said, at=now).national_id)
        known = self.of_ref(talk.ref)
        other = known if talk.replaced is None else self.of_ref(talk.replaced)
        if known is None or other is None:
            return wire.answer(talk, refused="UNKNOWN_PERSON")
        joined = self.join(known, other)
        return wire.answer(talk, national_id=self.revise(joined, talk.ref, talk.said, at=now).national_id)

    def _refused(self, talk: Talk, *, now: datetime) -> str:
        if self.moods.refuse:
            self.moods = replace(self.moods, refuse=self.moods.refuse - 1)
            return self.moods.reason
        if not talk.said.name:
            return "NAME"
        wrong = talk.said.certificate_root == RESIDENT_ID and not _valid(talk.said.certificate, now=now)
        return "CERTIFICATE" if wrong else ""

    def add(self, ref: Ref, said: Said, *, at: datetime) -> Known:
        """Register a reference: with the person whom its certificate, name and sex show, else as a new one."""
        before = self.of_ref(ref)
        if before is not None and len(before.refs) == 1:
            return self.revise(before, ref, said, at=at)
        if before is not None:  # announced anew: it stands for somebody of its own again
            self._put(replace(before, refs=tuple(each for each in before.refs if each != ref)))
        same = self._found(_by_certificate(said))
        if same:
            return self._joined(same[0], ref, said, at=at)
        made = Known(national_id=f"N{len(self.persons) + 1:017d}", said=said, refs=(ref,), at=at)
        known, alike = self._put(made), self._found(_by_birth(said))
        for other in alike:
            own = tuple(each for each in other.refs if each.root == ref.root)
            if own and other.national_id != known.national_id:
                self.tell(ref.root, "duplicates_found", known, refs=(ref,), others=own[:1], at=at)
        return known

    def _joined(self, same: Known, ref: Ref, said: Said, *, at: datetime) -> Known:
        """Keep one more reference of a person, and tell whose the others are."""
        known = self._put(replace(same, refs=(*same.refs, ref)))
        for each in same.refs:
            self.tell(each.root, "duplicates_found", known, refs=(each,), others=(ref,), at=at)
            if each.root != ref.root:
                self.tell(ref.root, "duplicates_found", known, refs=(ref,), others=(each,), at=at)
        return self.revise(known, ref, said, at=at)

    def revise(self, known: Known, ref: Ref, said: Said, *, at: datetime) -> Known:
        """Keep what was said last, and tell the other provinces that know her, if it is anything new."""
        changed = self._put(replace(known, said=said, at=at))
        if known.said != said:
            for root in dict.fromkeys(each.root for each in changed.refs if each.root != ref.root):
                own = tuple(each for each in changed.refs if each.root == root)
                self.tell(root, "distributed", changed, refs=own, at=at)
        return changed

    def join(self, survivor: Known, other: Known) -> Known:
        """Make two persons one."""
        if survivor.national_id == other.national_id:
            return survivor
        self._put(replace(other, merged_into=survivor.national_id))
        return self._put(replace(survivor, refs=(*survivor.refs, *other.refs)))

    def tell(
        self,
        root: str,
        kind: str,
        known: Known,
        *,
        refs: tuple[Ref, ...],
        others: tuple[Ref, ...] = (),
        at: datetime,
    ) -> None:
        """Put a notice into a province's mailbox."""
        self._seq += 1
        seq = self._seq
        made = Waiting(
            seq=seq,
            notice_id=f"NT{seq:012d}",
            root=root,
            kind=kind,
            at=at,
            national_id=known.national_id,
            refs=refs,
            others=others,
            said=known.said,
        )
        self.notices.put(str(seq), made)

    def page(self, root: str, *, after: int, limit: int) -> str:
        """Return the notices behind one; those up to it are acknowledged and forgotten."""
        for each in list(self.notices):
            if each.root == root and each.seq <= after:
                self.notices.remove(str(each.seq))
        found = sorted((each for each in self.notices if each.root == root), key=lambda each: each.seq)[:limit]
        last = found[-1].seq if found else after
        if self.moods.reverse:
            found.reverse()
        if self.moods.twice:
            found = [each for each in found for _ in range(2)]
        shown = [
            (each.notice_id, each.seq, each.kind, each.at, each.national_id, each.refs, each.others, each.said)
            for each in found
        ]
        return wire.notices(shown, last=last)

    def _put(self, known: Known) -> Known:
        self.persons.put(known.national_id, known)
        self._remember(known)
        return known

    def _remember(self, known: Known) -> None:
        if not known.merged_into:
            self._of_ref.update(dict.fromkeys(known.refs, known.national_id))
        for key in (_by_certificate(known.said), _by_birth(known.said)):
            self._alike.setdefault(key, set()).add(known.national_id)

    def _found(self, key: tuple[str, ...]) -> list[Known]:
        """Return who says this today, in the order of their numbers."""
        both = (self.persons.get(each) for each in sorted(self._alike.get(key, ())))
        found = [each for each in both if each is not None and not each.merged_into]
        return [each for each in found if all(key) and key in (_by_certificate(each.said), _by_birth(each.said))]


def _by_certificate(said: Said) -> tuple[str, ...]:
    return said.certificate_root, said.certificate, said.name, said.sex


def _by_birth(said: Said) -> tuple[str, ...]:
    return "birth", said.birth, said.name, said.sex


def _valid(number: str, *, now: datetime) -> bool:
    try:
        parse(normalise(number), today=now.date())
    except IdNumberInvalid:
        return False
    return True


def of(request: Wire) -> Index:
    """Return the national index of a request."""
    found: Index = request.app.state.national
    return found


@post("/national/HIPMessageServer", status_code=200)
async def serve(request: Wire) -> Response[bytes]:
    """Work on one call of the operation."""
    body, nonce = await parties(request).opened(PARTY, request)
    index = of(request)
    try:
        action, message = wire.called(body)
        if action == "NationalNotices":
            asked = wire.asked(message)
            answer = index.page(asked.root, after=asked.after, limit=asked.limit)
        elif action in wire.ACTIONS:
            answer = index.handle(wire.talk(message), message, now=clock.now())
        else:
            raise PartyError(400, "another action")
    except wire.Unreadable as error:
        raise PartyError(400, "unreadable") from error
    await index.store.flush()
    return parties(request).sealed(PARTY, nonce, wire.enveloped(answer), media_type="text/xml; charset=utf-8")


@post("/control/national/moods", status_code=200)
async def set_moods(request: Wire, data: JSONBody[Moods]) -> Moods:
    """Set how it behaves; up, down, slow and lost answers are set for every party alike."""
    of(request).moods = data
    return data


@get("/control/national/persons")
async def show_persons(request: Wire) -> list[Known]:
    """Show every person."""
    return list(of(request).persons)


@get("/control/national/heard")
async def show_heard(request: Wire) -> list[Heard]:
    """Show every message that was worked on."""
    return list(of(request).heard)


@get("/control/national/notices")
async def show_notices(request: Wire) -> list[Waiting]:
    """Show the notices that nobody acknowledged yet."""
    return list(of(request).notices)


@post("/control/national/elsewhere", status_code=200)
async def say_elsewhere(request: Wire, data: JSONBody[Elsewhere]) -> Known:
    """Let another province register or revise a person."""
    index, at = of(request), data.at or clock.now()
    ref = Ref(root=data.root, extension=data.ref)
    known = index.of_ref(ref)
    made = index.add(ref, data.said, at=at) if known is None else index.revise(known, ref, data.said, at=at)
    await index.store.flush()
    return made


@post("/control/national/merge", status_code=200)
async def merge(request: Wire, data: JSONBody[Pair]) -> Known:
    """Make two references of one province one person, and tell it. 404 when one of them is unknown."""
    index = of(request)
    survivor, other = (_by_extension(index, each) for each in (data.survivor, data.other))
    said = replace(survivor[0].said, certificate=data.certificate or survivor[0].said.certificate)
    if said.certificate and not said.certificate_root:
        said = replace(said, certificate_root=RESIDENT_ID)
    joined = index.join(replace(survivor[0], said=said), other[0])
    index.tell(survivor[1].root, "merged", joined, refs=(survivor[1],), others=(other[1],), at=clock.now())
    await index.store.flush()
    return joined


def _by_extension(index: Index, extension: str) -> tuple[Known, Ref]:
    for each in index.persons:
        for ref in each.refs:
            if ref.extension == extension and not each.merged_into:
                return each, ref
    raise PartyError(404, "no such reference")


HANDLERS: list[HTTPRouteHandler] = [serve]
CONTROL: list[HTTPRouteHandler] = [set_moods, show_persons, show_heard, show_notices, say_elsewhere, merge]
