"""Tables of the cards room. ``vuid`` is the distribution key of everything that belongs to an account."""

from __future__ import annotations

from yimatong.cards.models.accounts import account, account_event, account_join, holder
from yimatong.cards.models.codes import code_record, code_use, record_archive
from yimatong.cards.models.family import family
from yimatong.cards.models.labels import label
from yimatong.cards.models.registry import physical_card, registry_resident

__all__ = [
    "account",
    "account_event",
    "account_join",
    "code_record",
    "code_use",
    "family",
    "holder",
    "label",
    "physical_card",
    "record_archive",
    "registry_resident",
]
