"""Every route of the cards room."""

from __future__ import annotations

from yimatong.cards.accounts import endpoints as accounts
from yimatong.cards.batches import endpoints as batches
from yimatong.cards.bindings import endpoints as bindings
from yimatong.cards.certificates import endpoints as certificates
from yimatong.cards.codes import endpoints as codes
from yimatong.cards.entries import endpoints as entries
from yimatong.cards.family import endpoints as family
from yimatong.cards.labels import endpoints as labels
from yimatong.cards.lookup import endpoints as lookup
from yimatong.cards.records import endpoints as records
from yimatong.cards.registry import endpoints as registry
from yimatong.cards.standing import endpoints as standing
from yimatong.cards.updates import endpoints as updates

ROUTES = [
    *accounts.ROUTES,
    *batches.ROUTES,
    *bindings.ROUTES,
    *certificates.ROUTES,
    *entries.ROUTES,
    *family.ROUTES,
    *lookup.ROUTES,
    *standing.ROUTES,
    *updates.ROUTES,
    *codes.ROUTES,
    *labels.ROUTES,
    *records.ROUTES,
    *registry.ROUTES,
]
