"""Mobile Patient Demographics Query (PDQm, ITI-78): searches answered, and single Patients read.

The index finds candidates by its tokens; which of them fit is decided here on the Patient that FHIR sees, so that a
search and what it returns never disagree. Only then is masked what the caller may not see.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import product
from typing import Any, Final
from urllib.parse import quote

import msgspec

from yimatong.empi.errors import PersonNotFound
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.search.schemas import PersonHit, PersonQuery
from yimatong.gateways.errors import ParameterInvalid, SearchDomainUnknown
from yimatong.gateways.fhir import outcomes, patients, reading, searching
from yimatong.gateways.fhir.answering import Asked
from yimatong.gateways.fhir.searching import Search, Term
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index, Lookup, Shown
from yimatong.gateways.health.systems import Systems
from yimatong.kit.errors import PlatformError

_QUERIES_MAX: Final = 24
_REF: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_WILD: Final = re.compile(r"[*?]")


class _Page(msgspec.Struct, frozen=True, array_like=True):
    """Where a further page begins, sealed into its link: what was looked for stands in no address."""

    caller_id: str
    offset: int
    parameters: tuple[tuple[str, str], ...]


async def read(index: Index, asker: Asker, patient_id: str, *, base: str) -> tuple[Resource, int]:
    """Return a Patient by its id, and its version. A retired one is inactive and links to who replaced it.

    Raises:
        PersonNotFound: no such person, or an id that no person has.
    """
    if _REF.fullmatch(patient_id) is None:
        raise PersonNotFound
    shown = await index.person(asker, patient_id)
    systems = await index.systems(asker, _codes([shown]))
    return _patient(shown, base=base, systems=systems, domains=None), shown.version


def _patient(shown: Shown, *, base: str, systems: Systems, domains: frozenset[str] | None) -> Resource:
    return patients.patient(
        shown.hit,
        base=base,
        systems=systems,
        domains=domains,
        replaced_by=shown.replaced_by,
        version=shown.version,
    )


async def search(index: Index, asker: Asker, given: Asked, *, base: str) -> Resource:
    """Return the Bundle of a page of a search.

    Raises:
        ParameterInvalid, ParameterUnknown: see ``searching.read``. SearchDomainUnknown: a domain to be returned.
        NothingSelective, TooManyCandidates: see ``Index.look_up``.
    """
    offset, asked = 0, given.parameters
    token = given.first("_page")
    if token:
        page = await _opened(index, asker, token)
        offset, asked = page.offset, page.parameters
    wanted = searching.read(asked, strict=given.wish.strict)
    domains = await _domains(index, asker, wanted)
    systems = await index.systems(asker)
    lookup = await _lookup(index, asker, wanted, systems)
    found: Sequence[Shown] = []
    if lookup is not None:
        found = await index.look_up(asker, lookup, keep=lambda clear: _fits(clear, wanted, base=base, systems=systems))
    if domains is not None:
        found = [each for each in found if any(n.domain in domains for n in _numbers(each.hit, systems))]
    shown = [] if wanted.only_count else found[offset : offset + wanted.count]
    bundle = _bundle(asker, wanted, len(found), base=base)
    systems = await index.systems(asker, _codes(shown))
    entries = [_entry(each, base=base, systems=systems, domains=domains) for each in shown]
    entries += await _survivors(index, asker, shown, base=base, systems=systems, domains=domains)
    if wanted.ignored:
        told = outcomes.told("warning", "not-supported", "ignored parameters: " + ", ".join(wanted.ignored))
        entries.append({"fullUrl": f"urn:uuid:{_uuid(asker.request_id)}", "resource": told, "search": _MODE_OUTCOME})
    if shown and offset + len(shown) < len(found):
        following = _Page(asker.caller.caller_id, offset + len(shown), asked)
        url = f"{base}/Patient?_page={await _sealed(index, following)}{_format(given)}"
        bundle["link"].append({"relation": "next", "url": url})
    if entries:
        bundle["entry"] = entries
    return bundle


_MODE_OUTCOME: Final[dict[str, str]] = {"mode": "outcome"}


def _bundle(asker: Asker, wanted: Search, total: int, *, base: str) -> Resource:
    query = "&".join(f"{quote(key, safe=':_-')}={quote(value, safe=':|,_-')}" for key, value in wanted.used)
    return {
        "resourceType": "Bundle",
        "id": asker.request_id.replace("_", "-"),
        "type": "searchset",
        "timestamp": asker.now.isoformat(timespec="milliseconds"),
        "total": total,
        "link": [{"relation": "self", "url": f"{base}/Patient" + (f"?{query}" if query else "")}],
    }


def _entry(shown: Shown, *, base: str, systems: Systems, domains: frozenset[str] | None) -> dict[str, Any]:
    mode: dict[str, Any] = {"mode": "match"}
    if shown.hit.rank:
        mode["score"] = min(max(round(shown.hit.rank, 6), 0.0), 1.0)
    return {
        "fullUrl": f"{base}/Patient/{shown.hit.mpi_ref}",
        "resource": _patient(shown, base=base, systems=systems, domains=domains),
        "search": mode,
    }


async def _survivors(
    index: Index,
    asker: Asker,
    shown: Sequence[Shown],
    *,
    base: str,
    systems: Systems,
    domains: frozenset[str] | None,
) -> list[dict[str, Any]]:
    """Return the survivors of retired persons on a page that are not on it themselves (case 6)."""
    listed = {each.hit.mpi_ref for each in shown}
    entries = []
    for ref in dict.fromkeys(each.replaced_by for each in shown if each.replaced_by):
        if ref not in listed:
            entry = _entry(await index.person(asker, ref), base=base, systems=systems, domains=domains)
            entries.append(entry | {"search": {"mode": "include"}})
    return entries


async def _domains(index: Index, asker: Asker, wanted: Search) -> frozenset[str] | None:
    """Return the domains whose identifiers are to be returned (2:3.78.4.1.2.3), None for all."""
    codes: set[str] | None = None
    for term in wanted.of("identifier"):
        systems = [token.system or "" for token in term.tokens if not token.value]
        if not systems:
            continue
        codes = codes or set()
        for system in systems:
            domain = await index.domain(asker, system)
            if domain is None:
                raise SearchDomainUnknown
            codes.add(domain.code)
    return None if codes is None else frozenset(codes)


def _codes(shown: Sequence[Shown]) -> set[str]:
    return {number.domain for each in shown for number in each.hit.identifiers}


def _numbers(hit: PersonHit, systems: Systems) -> Iterator[SourceNumber]:
    yield from hit.identifiers
    own = systems.of_certificate(hit.id_type)
    if own is not None and hit.id_number:
        yield SourceNumber(domain=own.code, number=hit.id_number)


def _fits(clear: Shown, wanted: Search, *, base: str, systems: Systems) -> bool:
    """Say whether a person, unmasked, fits every term."""
    patient = _patient(clear, base=base, systems=systems, domains=None)
    return all(searching.fits(patient, term) for term in wanted.terms)


async def _lookup(index: Index, asker: Asker, wanted: Search, systems: Systems) -> Lookup | None:
    """Return how the index finds candidates; None where nobody can fit."""
    refs: set[str] | None = None
    for term in wanted.of("_id"):
        given = {token.value.removeprefix("Patient/") for token in term.tokens}
        refs = given if refs is None else refs & given
    numbers: list[tuple[SourceNumber, ...]] = []
    for term in wanted.of("identifier"):
        tokens = [token for token in term.tokens if token.value]
        if not tokens:
            continue
        named: list[SourceNumber] = []
        for token in tokens:
            named += [number async for number in _meant(index, asker, token, systems)]
        if not named:
            return None
        numbers.append(tuple(named))
    if refs is not None and not (refs := {ref for ref in refs if _REF.fullmatch(ref)}):
        return None
    inactive = any(token.value == "false" for term in wanted.of("active") for token in term.tokens)
    direct = refs is not None or bool(numbers)
    return Lookup(
        refs=None if refs is None else frozenset(refs),
        numbers=tuple(numbers),
        queries=() if direct else tuple(_queries(wanted, inactive=inactive)),
        inactive=inactive or direct,
    )


async def _meant(index: Index, asker: Asker, token: searching.Token, systems: Systems) -> Any:
    """Yield the numbers that a token may be: of its system, or of every system that the caller knows."""
    if token.system:
        domain = await index.domain(asker, token.system)
        if domain is not None:
            yield reading.number(domain.code, token.value)
    elif token.system is None and len(token.value) <= 64:  # noqa: PLR2004 -- see ``SourceNumber``
        for domain in systems.all:
            yield reading.number(domain.code, token.value)


def _queries(wanted: Search, *, inactive: bool) -> Iterator[PersonQuery]:
    """Yield queries that together find everybody who may fit; all that they leave open is compared afterwards."""
    options: list[list[dict[str, Any]]] = [[{"include_cancelled": inactive}]]
    options += [_born(term) for term in wanted.of("birthdate") if all(not span.outside for span in term.spans)]
    for term in wanted.of("gender"):
        sexes = [{"male": "1", "female": "2"}.get(token.value, "") for token in term.tokens]
        options.append([{"sex": sexes[0]}] if len(sexes) == 1 and sexes[0] else [{}])
    for term in wanted.of("telecom"):
        options.append([{"phone": token.value[:30]} for token in term.tokens if token.system in (None, "phone", "sms")])
    options.append(list(_named(wanted)))
    if not any(set(each) - {"sex", "include_cancelled"} for choice in options for each in choice):
        for term in wanted.of("mothersMaidenName"):
            options.append([{"mother_name": text[:100]} for text in term.texts])
        for term in wanted.of("address"):
            options.append([{"address": text[:200]} for text in term.texts])
    total = 1
    for each in options:
        total *= max(len(each), 1)
    if total > _QUERIES_MAX:
        raise ParameterInvalid(parameter="query", reason="too many alternatives")
    for chosen in product(*options):
        merged: dict[str, Any] = {}
        for fact in chosen:
            merged = _both(merged, fact)
        yield PersonQuery(**merged)


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return what fits both: of two bounds the narrower one, of two other facts the first."""
    made = other | one
    if one.get("born_from") and other.get("born_from"):
        made["born_from"] = max(one["born_from"], other["born_from"])
    if one.get("born_to") and other.get("born_to"):
        made["born_to"] = min(one["born_to"], other["born_to"])
    return made


def _born(term: Term) -> list[dict[str, Any]]:
    return [
        {
            **({"born_from": span.first} if span.first > date.min else {}),
            **({"born_to": span.last} if span.last < date.max else {}),
        }
        for span in term.spans
    ]


def _named(wanted: Search) -> Iterator[dict[str, Any]]:
    """Yield patterns under which the names that are looked for are found: as written, and by sound for pinyin."""
    terms = wanted.of("family", "given", "name")
    if not terms:
        yield {}
        return
    for texts in product(*(term.texts for term in terms)):
        parts = [(term.name, _WILD.sub("", text).strip()) for term, text in zip(terms, texts, strict=True)]
        family = next((text for name, text in parts if name == "family"), "")
        given = next((text for name, text in parts if name == "given"), "")
        longest = max((text for _, text in parts), key=len)
        if not longest:
            yield {}
            continue
        if family and given:
            yield {"name": f"{family}*{given}*"[:100], "name_match": "part"}
            yield {"name": f"*{given}*{family}*"[:100], "name_match": "part"}
        else:
            yield {"name": f"*{longest}*"[:100], "name_match": "part"}
        if longest.isascii():
            yield {"name": f"{family} {given}".strip()[:100] if family else longest[:100], "name_match": "pinyin"}


def _format(given: Asked) -> str:
    form = given.first("_format")
    return f"&_format={quote(form, safe='')}" if form else ""


def _uuid(request_id: str) -> str:
    digits = request_id.rpartition("_")[2].ljust(32, "0")[:32]
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_PAGE_AAD: Final = b"gateways.fhir page"


async def _sealed(index: Index, page: _Page) -> str:
    sealer = await index.vault.sealer("pages")
    return base64.urlsafe_b64encode(sealer.seal(msgspec.json.encode(page), _PAGE_AAD)).decode().rstrip("=")


async def _opened(index: Index, asker: Asker, token: str) -> _Page:
    """Open a link's page.

    Raises:
        ParameterInvalid: not a page that was linked to for this caller.
    """
    sealer = await index.vault.sealer("pages")
    try:
        padded = token + "=" * (-len(token) % 4)
        page = msgspec.json.decode(
            sealer.unseal(base64.b64decode(padded, altchars=b"-_", validate=True), _PAGE_AAD), type=_Page
        )
    except (binascii.Error, ValueError, msgspec.DecodeError, PlatformError) as error:
        raise ParameterInvalid(parameter="_page", reason="not a page of ours") from error
    if page.caller_id != asker.caller.caller_id:
        raise ParameterInvalid(parameter="_page", reason="another caller's page")
    return page
