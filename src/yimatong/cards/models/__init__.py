"""Tables of the cards room. ``vuid`` is the distribution key of everything that belongs to an account."""

from __future__ import annotations

from yimatong.cards.models.accounts import account, account_event, holder
from yimatong.cards.models.codes import code_record, code_use
from yimatong.cards.models.labels import label
from yimatong.cards.models.registry import physical_card, registry_resident

__all__ = [
    "account",
    "account_event",
    "code_record",
    "code_use",
    "holder",
    "label",
    "physical_card",
    "registry_resident",
]
