"""The identity rule, pure: is what a provider says possible, and does it agree with what is known?"""

from __future__ import annotations

from datetime import date

import msgspec

from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNumberInvalid,
    CertificateTypeUnknown,
    PersonCancelled,
    PersonDeceased,
    PersonDisagrees,
    SexDisagrees,
)
from yimatong.empi.persons.schemas import Demographics, PersonRecord
from yimatong.standards import codes, names, phones, residence_card
from yimatong.standards import id_number as gb11643
from yimatong.standards.codes import CERTIFICATE_TYPES, ID_CARD, NO_CERTIFICATE, RESIDENCE_CARD

_AGE_MAX_YEARS = 130


def checked(given: Demographics, *, today: date) -> Demographics:
    """Return the demographics in normal form: NFC name, upper-case number, 18 digits for a resident identity card.

    A resident identity number of 15 digits and the 18 characters that replaced it are one certificate.

    Raises:
        NameInvalid, IdNumberInvalid and kin: from ``standards``.
        CertificateTypeUnknown, CertificateNumberInvalid, BirthDateImpossible, BirthDateDisagrees, SexDisagrees.
    """
    if given.id_type not in CERTIFICATE_TYPES or given.id_type == NO_CERTIFICATE:
        raise CertificateTypeUnknown(id_type=given.id_type)
    normal = checked_facts(given, today=today)
    if given.id_type != ID_CARD:
        number = other_number(given.id_type, given.id_number, birth_date=given.birth_date, today=today)
        return msgspec.structs.replace(normal, id_number=number)
    known = gb11643.parse(given.id_number, today=today)
    if known.birth_date != given.birth_date:
        raise BirthDateDisagrees
    if known.sex != given.sex:
        raise SexDisagrees
    return msgspec.structs.replace(normal, id_number=known.number18)


def checked_facts(given: Demographics, *, today: date) -> Demographics:
    """Return everything but the certificate in normal form; for residents who have none.

    Raises:
        NameInvalid, PhoneInvalid, CodeUnknown: from ``standards``. BirthDateImpossible.
    """
    if given.birth_date > today or given.birth_date.year < today.year - _AGE_MAX_YEARS:
        raise BirthDateImpossible
    if given.nation:
        codes.require("nation", given.nation)
    if given.marital:
        codes.require("marital", given.marital)
    phone = phones.normalise(given.phone) if given.phone else ""
    return msgspec.structs.replace(given, name=names.normalise(given.name), phone=phone)


def require_living(known: PersonRecord) -> None:
    """Refuse to open or attach anything for somebody who was reported dead.

    Raises:
        PersonDeceased: she was. PersonCancelled: the index has cancelled her.
    """
    if known.deceased_on is not None:
        raise PersonDeceased
    if known.state == "cancelled":
        raise PersonCancelled


def require_agreement(
    known: PersonRecord, given: Demographics, *, name_binds: bool = True, birth_date_binds: bool = True
) -> None:
    """Refuse a new certificate of somebody who is not the person: name, sex and birth date must all agree.

    Of residents without a certificate some facts are only stand-ins (a newborn's name, an estimated birth date); those
    bind nobody, as does a sex that is unknown.

    Raises:
        PersonDisagrees: one differs; the message does not say which.
    """
    sexes_known = known.sex in _STATED and given.sex in _STATED
    if (
        (name_binds and not names.same_name(known.name, given.name))
        or (sexes_known and known.sex != given.sex)
        or (birth_date_binds and known.birth_date != given.birth_date)
    ):
        raise PersonDisagrees


_STATED = ("1", "2")


def other_number(id_type: str, number: str, *, birth_date: date | None, today: date) -> str:
    """Return the number of a certificate that is no identity card, in normal form.

    Raises:
        CertificateNumberInvalid: not letters, digits and hyphens. ResidenceNumberInvalid: a residence card's rules.
        BirthDateDisagrees: a residence card's number holds another birth date.
    """
    if id_type == RESIDENCE_CARD:
        card = residence_card.parse(number, today=today)
        if birth_date is not None and not card.agrees(birth_date):
            raise BirthDateDisagrees
        return card.number
    upper = number.strip().upper()
    if not upper.isascii() or not upper.replace("-", "").isalnum():
        raise CertificateNumberInvalid
    return upper


def require_same(known: PersonRecord, given: Demographics) -> None:
    """Refuse to attach a certificate to a person whose name or sex is another.

    Raises:
        PersonDisagrees: name or sex differ; the message does not say which.
    """
    if not names.same_name(known.name, given.name) or known.sex != given.sex:
        raise PersonDisagrees
