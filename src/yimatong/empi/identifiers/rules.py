"""The rules of identifier domains (标识域规则), pure: format, check character, uniqueness, validity.

A number is judged in its normal form, which depends on its domain's code alone: half-width capitals without blanks, an
identity number of 15 digits as the 18 characters that replaced it, a social-insurance card without its hyphens. Equal
numbers therefore have equal blinds, whoever sent them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from yimatong.crypto.tokens import Blinder, comparable_id, comparable_number
from yimatong.empi.errors import DomainRuleInvalid, DomainSuspended, NumberCheckDigit, NumberInvalid
from yimatong.empi.identifiers.schemas import Domain
from yimatong.standards import bank_cards, id_number, residence_card
from yimatong.standards.codes import CERTIFICATE_TYPES, NO_CERTIFICATE
from yimatong.standards.errors import BankCardShape

END_REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "lost": ("挂失或遗失", "the card was lost"),
        "replaced": ("补换新卡", "replaced by a new card"),
        "cancelled": ("卡已注销", "the card was cancelled"),
        "wrong": ("登记错误", "entered by mistake"),
        "expired": ("超过有效期", "its validity ended"),
        "relinked": ("改挂其他居民", "given to the person whose it is"),
        "person_cancelled": ("居民信息已注销", "the person was cancelled"),
        "other": ("其他", "other"),
    }
)
"""Why a cross index ended: Chinese, English."""

NUMBER_MAX: Final = 64
_CLAIMED: Final = re.compile(r"certificate:([0-9]{2})", re.ASCII)
_FIFTEEN_MOST: Final = 18


def claimed_type(code: str) -> str:
    """Return the certificate type (WS 364.3 CV02.01.101) of a domain whose numbers are claims of the index, else ''.

    The claim (``empi_certificate``) is the one truth about whose certificate it is; see docs/spec/indexes.md.
    """
    found = _CLAIMED.fullmatch(code)
    return found[1] if found and found[1] in CERTIFICATE_TYPES else ""


def certificate_domain(id_type: str) -> str:
    """Return the code of the domain of a certificate type."""
    return f"certificate:{id_type}"


def normal(code: str, number: str) -> str:
    """Return the number in its domain's normal form; nothing is refused."""
    text = comparable_number(number)
    if claimed_type(code):
        return comparable_id(claimed_type(code), text)
    return text.replace("-", "") if code == "card:02" else text


def blind(blinder: Blinder, code: str, number: str) -> bytes:
    """Return the 16-byte blind of a number given in normal form; of a certificate it is that of its claim."""
    id_type = claimed_type(code)
    return blinder.id_blind(id_type, number) if id_type else blinder.number_blind(code, number)


def checked(domain: Domain, number: str, *, today: date) -> str:
    """Return the number in normal form.

    Raises:
        DomainSuspended: nothing is entered there now. NumberInvalid, NumberCheckDigit: the domain's rules.
        IdNumberInvalid, ResidenceNumberInvalid and kin: the number's own standard.
    """
    if domain.state != "active":
        raise DomainSuspended(domain=domain.code)
    text = normal(domain.code, number)
    if not text or len(text) > NUMBER_MAX or not text.isprintable():
        raise NumberInvalid(domain=domain.code)
    if domain.format and not re.fullmatch(domain.format, text, re.ASCII):
        raise NumberInvalid(domain=domain.code)
    if domain.check_rule:
        CHECKS[domain.check_rule](domain.code, text, today)
    return text


def expired(domain: Domain, since: datetime, *, now: datetime) -> bool:
    """Say whether a number that was entered at ``since`` is past its domain's validity."""
    return domain.valid_days is not None and since + timedelta(days=domain.valid_days) <= now


def _gb11643(_code: str, text: str, today: date) -> None:
    id_number.parse(text, today=today)


def _residence(_code: str, text: str, today: date) -> None:
    residence_card.parse(text, today=today)


def _mod11_2(code: str, text: str, _today: date) -> None:
    """Check the last character by ISO 7064 MOD 11-2 over seventeen digits."""
    if not re.fullmatch(r"[0-9]{17}[0-9X]", text, re.ASCII):
        raise NumberInvalid(domain=code)
    if id_number.check_digit(text[:17]) != text[17]:
        raise NumberCheckDigit(domain=code)


def _settlement(code: str, text: str, today: date) -> None:
    """A residence permit of Hong Kong, Macao and Taiwan residents: 81, 82 or 83 zero-filled, then as GB 11643."""
    if text[:6] not in ("810000", "820000", "830000"):
        raise NumberInvalid(domain=code)
    id_number.parse(text, today=today)


def _social(code: str, text: str, today: date) -> None:
    """社会保障号码 is the citizen's identity number; foreigners have 18 characters that begin with their country."""
    if text[:1].isdigit():
        if len(text) != _FIFTEEN_MOST:
            raise NumberInvalid(domain=code)
        id_number.parse(text, today=today)
    elif not re.fullmatch(r"[A-Z]{3}[0-9A-Z]{15}", text, re.ASCII):
        raise NumberInvalid(domain=code)


def _driving(_code: str, text: str, today: date) -> None:
    """A driving licence has its holder's identity number, or twelve digits of the file."""
    if len(text) == _FIFTEEN_MOST:
        id_number.parse(text, today=today)


def _luhn(code: str, text: str, _today: date) -> None:
    try:
        wrong = bank_cards.check_digit(text[:-1]) != text[-1]
    except (BankCardShape, ValueError):
        raise NumberInvalid(domain=code) from None
    if wrong:
        raise NumberCheckDigit(domain=code)


CHECKS: Final[Mapping[str, Callable[[str, str, date], None]]] = MappingProxyType(
    {
        "gb11643": _gb11643,
        "residence-card": _residence,
        "settlement-permit": _settlement,
        "social-security": _social,
        "driving-licence": _driving,
        "mod11-2": _mod11_2,
        "luhn": _luhn,
    }
)
"""Rules of check characters by name: (domain code, number in normal form, day of the check)."""

_ATOM: Final = (
    r"(?:\[[0-9A-Za-z\u4e00-\u9fff._:/-]+\]|[0-9A-Za-z\u4e00-\u9fff:/_-]|\\[d.])(?:\{[0-9]{1,2}(?:,[0-9]{1,2})?\}|\?)?"
)
_FORMAT: Final = re.compile(rf"(?:{_ATOM}){{1,24}}(?:\|(?:{_ATOM}){{1,24}}){{0,9}}")
_VARIABLE: Final = re.compile(r"\{[0-9]+,[0-9]+\}|\?")
_VARIABLE_MAX: Final = 3
FORMAT_MAX: Final = 200


def require_sound(domain: Domain) -> None:
    r"""Refuse rules by which no number could be judged, or not quickly.

    A format is a row of characters, classes (``[0-9A-Z]``), ``\d`` and counts (``{8}``, ``{4,20}``, ``?``), with ``|``
    between alternatives: no groups and no open counts, so that no number can keep the platform busy.

    Raises:
        DomainRuleInvalid: what is wrong.
    """
    text = domain.format
    if text and (len(text) > FORMAT_MAX or not _FORMAT.fullmatch(text)):
        raise DomainRuleInvalid(detail="format")
    if any(len(_VARIABLE.findall(part)) > _VARIABLE_MAX for part in text.split("|")):
        raise DomainRuleInvalid(detail="format")
    try:
        re.compile(text)
    except re.error:
        raise DomainRuleInvalid(detail="format") from None
    if domain.check_rule and domain.check_rule not in CHECKS:
        raise DomainRuleInvalid(detail="check_rule")
    if domain.valid_days is not None and domain.valid_days < 1:
        raise DomainRuleInvalid(detail="valid_days")
    if domain.oid is not None and not re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*)){1,30}", domain.oid, re.ASCII):
        raise DomainRuleInvalid(detail="oid")


def application_of(code: str) -> str:
    """Return the application domain (应用域) that a number of a domain serves where nobody said another one."""
    if code.startswith("certificate:"):
        return "identity"
    known = {
        "card:01": "health-card",
        "card:02": "insurance",
        "card:03": "insurance",
        "card:electronic": "e-health-card",
    }
    if code in known:
        return known[code]
    kind, _, rest = code.partition(":")
    owner = rest.rpartition(":")[0] if kind == "visit-card" else rest
    return f"institution:{owner}" if kind in ("visit-card", "source") else "index"


def enterable(code: str) -> bool:
    """Say whether numbers of a domain come from outside; the domain index's own come from the index."""
    return claimed_type(code) != NO_CERTIFICATE
