"""Quick payment at the simulated UnionPay (无跳转 token): SMS codes, openings, tokens.

A card may be opened by whoever holds the phone: the code that was sent decides. Card numbers whose last digit is 9 are
refused (61). Codes hold for five minutes, three tries.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from msgspec.structs import replace

from yimatong.sandbox.store import Store
from yimatong.sandbox.unionpay.rows import Message, Opening, WireError

_CODE_LIVES = timedelta(minutes=5)
_CARD_DIGITS = range(13, 20)


class Cards:
    """Openings and the SMS codes that were sent."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.openings = store.table("unionpay.openings", Opening)
        self.messages = store.table("unionpay.messages", Message)

    def send_code(self, asked: Message) -> Message:
        """Send a code; asking again for the same number and time sends another, and the old one is void."""
        self.messages.put(asked.key, asked)
        return asked

    def code_fits(self, key: str, code: str, *, amount_fen: int = 0, token: str = "", now: datetime) -> Message:
        """Return the message whose code this is, and use it up. Raises ``WireError`` 66."""
        sent = self.messages.get(key)
        if sent is None or sent.tries_left < 1 or sent.sent_at + _CODE_LIVES < now:
            raise WireError(code="66")
        if (sent.amount_fen, sent.token) != (amount_fen, token) or sent.code != code:
            self.messages.put(key, replace(sent, tries_left=sent.tries_left - 1))
            raise WireError(code="66")
        self.messages.put(key, replace(sent, tries_left=0))
        return sent

    def open(self, opening: Opening, card_number: str, phone: str) -> Opening:
        """Open quick payment for a card. Raises ``WireError`` 12, 61."""
        if opening.state != "waiting":
            raise WireError(code="12")
        check_card(card_number)
        made = replace(
            opening,
            card_end=card_number[-4:],
            phone=phone,
            state="open",
            token=f"62{secrets.randbelow(10**17):017d}",
        )
        self.openings.put(made.key, made)
        return made

    def refuse(self, opening: Opening) -> Opening:
        """Note that the payer did not agree."""
        refused = replace(opening, state="refused")
        self.openings.put(refused.key, refused)
        return refused

    def of_page(self, page: str) -> Opening:
        """Return the opening behind a page. Raises ``WireError`` 34."""
        for opening in self.openings:
            if page and opening.page == page:
                return opening
        raise WireError(code="34")

    def with_token(self, mer_id: str, token: str) -> Opening:
        """Return the open opening with this token. Raises ``WireError`` 40."""
        for opening in self.openings:
            if (opening.mer_id, opening.token, opening.state) == (mer_id, token, "open"):
                return opening
        raise WireError(code="40")

    def delete(self, mer_id: str, token: str) -> None:
        """Delete a token. Raises ``WireError`` 40 when there is none."""
        opening = self.with_token(mer_id, token)
        self.openings.put(opening.key, replace(opening, state="deleted"))


def new_code() -> str:
    """Return six digits."""
    return f"{secrets.randbelow(10**6):06d}"


def check_card(number: str) -> None:
    """Refuse what is no card, or a card of the kind that is never opened. Raises ``WireError`` 61."""
    if not (number.isascii() and number.isdecimal() and len(number) in _CARD_DIGITS) or number.endswith("9"):
        raise WireError(code="61")
