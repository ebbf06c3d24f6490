"""Every route of the cards room."""

from __future__ import annotations

from yimatong.cards.accounts import endpoints as accounts
from yimatong.cards.codes import endpoints as codes

ROUTES = [*accounts.ROUTES, *codes.ROUTES]
