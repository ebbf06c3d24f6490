"""What a provider's record says, in normal form, before anything is asked of the index. Pure.

The index takes what is known: a sex or birth date may be missing, a telephone number may be no number. What cannot be
used is kept as said. A certificate identifies only if its number keeps its type's rules and does not contradict the sex
and birth date beside it; what the number itself tells fills the gaps.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import msgspec

from yimatong.access.caller import Caller
from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNumberInvalid,
    CertificateTypeUnknown,
    ProofNotAttestable,
    SexDisagrees,
)
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.matching.facts import Facts
from yimatong.empi.persons import identity
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.empi.registration.schemas import PersonToRegister, Stated
from yimatong.kit.clock import business_date
from yimatong.kit.errors import PlatformError
from yimatong.standards import codes, names, phones
from yimatong.standards import id_number as gb11643
from yimatong.standards.codes import CERTIFICATE_TYPES, ID_CARD, NO_CERTIFICATE
from yimatong.standards.errors import IdNumberInvalid, PhoneInvalid, ResidenceNumberInvalid

LEVELS: Final = {"stated": 1, "window": 2, "certificate_read": 3}
"""How strongly a record is proven: said, checked by a clerk at a window, or read from the certificate's chip."""

_AGE_MAX_YEARS: Final = 130
_STATED_SEX: Final = ("1", "2")


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who registers. ``refuses``: what an institution's steward would judge is refused, because nobody stands by."""

    caller_id: str
    institution_id: str | None
    refuses: bool

    @classmethod
    def of(cls, caller: Caller) -> Provider:
        """Return a caller of the native API as a provider."""
        return cls(caller_id=caller.caller_id, institution_id=caller.institution_id, refuses=caller.kind == "app")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record in normal form. ``facts`` has a certificate only if it identifies; ``numbers``: source number first.

    ``sex`` and ``birth_date`` are filled from an identity number where the record does not say them.
    """

    provider: Provider
    source: SourceNumber
    identifiers: tuple[SourceNumber, ...]
    facts: SealedFacts
    sex: str
    birth_date: date | None
    method: str
    at: datetime
    kind: str = "feed"

    @property
    def level(self) -> int:
        """Return the real-name level."""
        return LEVELS.get(self.method, 1)

    @property
    def certificate(self) -> tuple[str, str] | None:
        """Return type and number of the certificate that identifies, or None."""
        return (self.facts.id_type, self.facts.id_number) if self.facts.id_number else None

    @property
    def matching(self) -> Facts:
        """Return what is compared."""
        facts = self.facts
        return Facts(
            name=facts.name,
            sex=self.sex,
            birth_date=self.birth_date,
            id_type=facts.said_type or facts.id_type,
            id_number=facts.said_number or facts.id_number,
            phone=facts.phone,
            address=facts.address,
        )


def checked(wanted: PersonToRegister, provider: Provider, *, now: datetime, kind: str = "feed") -> Record:
    """Return a record in normal form.

    Raises:
        NameInvalid and kin, CodeUnknown: from ``standards``. BirthDateImpossible, CertificateTypeUnknown.
        ProofNotAttestable: an app says how a certificate was checked.
    """
    if provider.refuses and wanted.real_name != "stated":
        raise ProofNotAttestable(method=wanted.real_name)
    said, today = wanted.resident, business_date(now)
    _require_possible(said, today=today)
    identifying, id_type, number = _certificate(said, today=today)
    sex, birth_date = said.sex, said.birth_date
    if identifying and id_type == ID_CARD:
        known = gb11643.parse(number, today=today)
        sex, birth_date = known.sex, known.birth_date
    phone, said_phone = _phone(said.phone)
    numbers = tuple(dict.fromkeys(each for each in wanted.identifiers if each != wanted.source))
    facts = SealedFacts(
        name=names.normalise(said.name),
        id_type=id_type if identifying else "",
        id_number=number if identifying else "",
        phone=phone,
        address=said.address.strip(),
        nation=said.nation,
        marital=said.marital,
        occupation=said.occupation.strip(),
        mother_name=names.normalise(said.mother_name) if said.mother_name.strip() else "",
        estimated=said.birth_date_estimated and birth_date == said.birth_date,
        said_type="" if identifying else id_type,
        said_number="" if identifying else number,
        said_phone=said_phone,
        numbers=tuple((each.domain, each.number) for each in numbers),
    )
    return Record(
        provider=provider,
        source=wanted.source,
        identifiers=numbers,
        facts=facts,
        sex=sex,
        birth_date=birth_date,
        method=wanted.real_name,
        at=now,
        kind=kind,
    )


def _require_possible(said: Stated, *, today: date) -> None:
    born = said.birth_date
    if born is not None and (born > today or born.year < today.year - _AGE_MAX_YEARS):
        raise BirthDateImpossible
    if said.nation:
        codes.require("nation", said.nation)
    if said.marital:
        codes.require("marital", said.marital)
    if said.id_type and said.id_type not in CERTIFICATE_TYPES:
        raise CertificateTypeUnknown(id_type=said.id_type)


def _certificate(said: Stated, *, today: date) -> tuple[bool, str, str]:
    """Return whether the certificate identifies, its type, and its number in normal form or as said."""
    number = said.id_number.strip()
    if not number:
        return False, "", ""
    id_type = said.id_type or ID_CARD
    if id_type == NO_CERTIFICATE:
        return False, id_type, number
    try:
        return True, id_type, _normal(said, id_type, number, today=today)
    except _CONTRADICTIONS:
        return False, said.id_type, number


def _normal(said: Stated, id_type: str, number: str, *, today: date) -> str:
    """Return an identifying number in normal form.

    Raises:
        IdNumberInvalid, ResidenceNumberInvalid, CertificateNumberInvalid: its rules. BirthDateDisagrees, SexDisagrees.
    """
    sex, birth_date = said.sex, said.birth_date
    if id_type == ID_CARD:
        known = gb11643.parse(number, today=today)
        if birth_date is not None and not said.birth_date_estimated and birth_date != known.birth_date:
            raise BirthDateDisagrees
        if sex in _STATED_SEX and sex != known.sex:
            raise SexDisagrees
        return known.number18
    return identity.other_number(id_type, number, birth_date=birth_date, today=today)


_CONTRADICTIONS: Final[tuple[type[PlatformError], ...]] = (
    IdNumberInvalid,
    ResidenceNumberInvalid,
    CertificateNumberInvalid,
    BirthDateDisagrees,
    SexDisagrees,
)


def _phone(said: str) -> tuple[str, str]:
    """Return a telephone number in normal form, or what was said instead of one."""
    text = said.strip()
    if not text:
        return "", ""
    try:
        return phones.normalise(text), ""
    except PhoneInvalid:
        return "", text
