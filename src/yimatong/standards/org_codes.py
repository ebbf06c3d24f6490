"""Check characters of organisation codes (GB 11714-1997) and unified social credit codes (GB 32100-2015)."""

from __future__ import annotations

import re
from typing import Final

from yimatong.standards.errors import OrganisationCodeInvalid

_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANISATION: Final = re.compile(r"[0-9A-Z]{8}[0-9X]", re.ASCII)
_CREDIT_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS: Final = tuple(pow(3, i, 31) for i in range(17))
_CREDIT: Final = re.compile(f"[{_CREDIT_ALPHABET}]{{2}}[0-9]{{6}}[{_CREDIT_ALPHABET}]{{10}}", re.ASCII)
_CREDIT_LENGTH: Final = 18


def organisation_check(first8: str) -> str:
    """Return the check character (``0``-``9`` or ``X``) of an organisation code, GB 11714 clause 3.3.

    Raises:
        OrganisationCodeInvalid: ``first8`` is not eight digits or capital letters.
    """
    if not _ORGANISATION.fullmatch(first8 + "0"):
        raise OrganisationCodeInvalid(reason_zh="应为8位数字或大写字母", reason_en="eight digits or capitals expected")
    total = sum(_ORGANISATION_ALPHABET.index(c) * w for c, w in zip(first8, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def credit_check(first17: str) -> str:
    """Return the check character of a unified social credit code, GB 32100 annex B (weights 3**(i-1) mod 31).

    Raises:
        OrganisationCodeInvalid: wrong shape; I, O, S, V and Z do not occur.
    """
    if not _CREDIT.fullmatch(first17 + "0"):
        raise OrganisationCodeInvalid(
            reason_zh="应为17位数字或大写字母（不用I、O、S、V、Z），第3至8位为数字",
            reason_en="17 digits or capitals without I, O, S, V, Z expected, digits in places 3 to 8",
        )
    total = sum(_CREDIT_ALPHABET.index(c) * w for c, w in zip(first17, _CREDIT_WEIGHTS, strict=True))
    return _CREDIT_ALPHABET[-total % 31]


def check(code: str) -> str:
    """Return ``code`` (9 or 18 characters; a hyphen before the check character is dropped) if its check fits.

    Raises:
        OrganisationCodeInvalid: wrong length, characters or check character.
    """
    text = code.strip().upper().replace("-", "")
    expected = credit_check(text[:-1]) if len(text) == _CREDIT_LENGTH else organisation_check(text[:-1])
    if text[-1] != expected:
        raise OrganisationCodeInvalid(reason_zh="校验码不符", reason_en="the check character does not fit")
    return text
