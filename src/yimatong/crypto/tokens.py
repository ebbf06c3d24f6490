"""Blind indexes: what is sealed is found by keyed tokens (HMAC-SM3, truncated), never by the clear text.

An identifier has a 16-byte blind, the key of unique claims. Searches and matching run on signed 64-bit tokens kept in
arrays. Equal values give equal tokens: a thief of the database alone learns which rows share a value and how often
each occurs (common surnames stand out), not the values. Each kind of token has its own label, so that a phone never
meets a certificate.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.standards import id_number as id_numbers
from yimatong.standards import names, phones
from yimatong.standards.codes import ID_CARD

BLIND_SIZE: Final = 16
_TAIL: Final = 4


class Blinder:
    """Makes blinds and tokens under one key (32 bytes)."""

    __slots__ = ("_mac",)

    def __init__(self, key: bytes) -> None:
        self._mac = HmacSm3(key)

    def id_blind(self, id_type: str, id_number: str) -> bytes:
        """Return the 16-byte blind of a certificate; one person's 15- and 18-digit numbers give the same."""
        return self._mac.digest(f"id-blind\0{id_type}\0{comparable_id(id_type, id_number)}".encode())[:BLIND_SIZE]

    def card_blind(self, card_type: str, card_number: str) -> bytes:
        """Return the 16-byte blind of a physical card's number; case, width and blanks do not count."""
        return self._mac.digest(f"card-blind\0{card_type}\0{comparable_number(card_number)}".encode())[:BLIND_SIZE]

    def chip_blind(self, chip_number: str) -> bytes:
        """Return the 16-byte blind of a chip's number; case, width and blanks do not count."""
        return self._mac.digest(f"chip-blind\0{comparable_number(chip_number)}".encode())[:BLIND_SIZE]

    def id_token(self, id_type: str, id_number: str) -> int:
        """Return the token of a certificate, normalised as for :meth:`id_blind`."""
        return self._token("id", f"{id_type}\0{comparable_id(id_type, id_number)}")

    def name_token(self, name: str) -> int:
        """Return the token of a whole name; raises ``NameInvalid``."""
        return self._token("name", names.comparable(name))

    def character_tokens(self, name: str) -> list[int]:
        """Return one token per character of a name, in order; raises ``NameInvalid``."""
        return [self._token("character", character) for character in names.comparable(name)]

    def bigram_tokens(self, name: str) -> list[int]:
        """Return one token per pair of neighbouring characters, none for a single one; raises ``NameInvalid``."""
        text = names.comparable(name)
        return [self._token("bigram", text[i : i + 2]) for i in range(len(text) - 1)]

    def phone_token(self, phone: str) -> int:
        """Return the token of a telephone number; raises ``PhoneInvalid``."""
        return self._token("phone", phones.normalise(phone))

    def phone_tail_token(self, phone: str) -> int:
        """Return the token of the last four digits (of a whole number or of just those); raises ``PhoneInvalid``."""
        tail = (
            phone if len(phone) == _TAIL and phone.isascii() and phone.isdigit() else phones.normalise(phone)[-_TAIL:]
        )
        return self._token("phone-tail", tail)

    def syllable_token(self, syllable: str) -> int:
        """Return the token of one syllable of a name's reading, in pinyin without its tone."""
        return self._token("syllable", syllable.casefold())

    def character_token(self, character: str) -> int:
        """Return the token of one character that is in comparable form already, as in :meth:`character_tokens`."""
        return self._token("character", character)

    def bigram_token(self, pair: str) -> int:
        """Return the token of two neighbouring characters in comparable form, as in :meth:`bigram_tokens`."""
        return self._token("bigram", pair)

    def whole_name_token(self, comparable: str) -> int:
        """Return the token of a whole name in comparable form, as in :meth:`name_token`; nothing is refused."""
        return self._token("name", comparable)

    def mother_name_token(self, comparable: str) -> int:
        """Return the token of the mother's whole name in comparable form."""
        return self._token("mother-name", comparable)

    def address_token(self, unit: str) -> int:
        """Return the token of one unit of an address (a road, a village, a house number), in comparable form."""
        return self._token("address", unit)

    def block_token(self, key: str) -> int:
        """Return the token of a blocking key (``empi.matching.blocking``): a text that similar records share."""
        return self._token("block", key)

    def number_blind(self, domain: str, number: str) -> bytes:
        """Return the 16-byte blind of a number within its identifier domain; case, width and blanks do not count."""
        return self._mac.digest(f"number-blind\0{domain}\0{comparable_number(number)}".encode())[:BLIND_SIZE]

    def digest(self, label: str, text: bytes) -> bytes:
        """Return a 32-byte keyed digest, to see later whether something is still the same."""
        return self._mac.digest(b"digest\0" + label.encode() + b"\0" + text)

    def _token(self, label: str, value: str) -> int:
        return int.from_bytes(self._mac.digest(f"{label}\0{value}".encode())[:8], "big", signed=True)


def comparable_id(id_type: str, id_number: str) -> str:
    """Return the form in which certificate numbers are compared: half-width, upper case, without blanks.

    Identity cards of 15 digits become 18. Nothing is refused: a wrong number is only equal to itself.
    """
    number = comparable_number(id_number)
    if id_type == ID_CARD and len(number) == id_numbers.SHORT_LENGTH and number.isascii() and number.isdigit():
        return id_numbers.to_18(number)
    return number


def comparable_number(number: str) -> str:
    """Return the form in which numbers of documents are compared: half-width, upper case, without blanks."""
    return "".join(unicodedata.normalize("NFKC", number).upper().split())
