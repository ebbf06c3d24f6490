"""Every route of the cards room."""

from __future__ import annotations

from yimatong.cards.accounts import endpoints as accounts
from yimatong.cards.codes import endpoints as codes
from yimatong.cards.records import endpoints as records
from yimatong.cards.registry import endpoints as registry

ROUTES = [*accounts.ROUTES, *codes.ROUTES, *records.ROUTES, *registry.ROUTES]
