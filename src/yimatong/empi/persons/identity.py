"""The identity rule, pure: is what a provider says possible, and does it agree with what is known?"""

from __future__ import annotations

from datetime import date

import msgspec

from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNumberInvalid,
    CertificateTypeUnknown,
    PersonDisagrees,
    SexDisagrees,
)
from yimatong.empi.persons.schemas import Demographics, PersonRecord
from yimatong.standards import id_number as gb11643
from yimatong.standards import names, phones
from yimatong.standards.codes import CERTIFICATE_TYPES, ID_CARD, NO_CERTIFICATE

_AGE_MAX_YEARS = 130


def checked(given: Demographics, *, today: date) -> Demographics:
    """Return the demographics in normal form: NFC name, upper-case number, 18 digits for a resident identity card.

    Raises:
        NameInvalid, IdNumberInvalid and kin: from ``standards``.
        CertificateTypeUnknown, CertificateNumberInvalid, BirthDateImpossible, BirthDateDisagrees, SexDisagrees.
    """
    if given.id_type not in CERTIFICATE_TYPES or given.id_type == NO_CERTIFICATE:
        raise CertificateTypeUnknown(id_type=given.id_type)
    if given.birth_date > today or given.birth_date.year < today.year - _AGE_MAX_YEARS:
        raise BirthDateImpossible(birth_date=given.birth_date.isoformat())
    normal = msgspec.structs.replace(given, name=names.normalise(given.name), phone=phones.normalise(given.phone))
    if given.id_type != ID_CARD:
        return msgspec.structs.replace(normal, id_number=_other_number(given.id_number))
    known = gb11643.parse(given.id_number, today=today)
    if known.birth_date != given.birth_date:
        raise BirthDateDisagrees
    if known.sex != given.sex:
        raise SexDisagrees
    return msgspec.structs.replace(normal, id_number=known.number18)


def _other_number(number: str) -> str:
    """Return another certificate's number in upper case; letters, digits and hyphens only."""
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
