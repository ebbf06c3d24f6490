"""Tables of the cards room. ``vuid`` is the distribution key of everything that belongs to an account."""

from __future__ import annotations

from yimatong.cards.models.accounts import account, account_event, account_join, holder
from yimatong.cards.models.batches import batch, batch_chunk, batch_mapping, batch_upload, batch_upload_block, tag
from yimatong.cards.models.bindings import binding, binding_tries
from yimatong.cards.models.codes import code_record, code_use, record_archive
from yimatong.cards.models.family import family
from yimatong.cards.models.labels import label
from yimatong.cards.models.policies import code_policy, code_trouble, offline_use
from yimatong.cards.models.registry import account_card, arrival, card_event, physical_card, registry_resident

__all__ = [
    "account",
    "account_card",
    "account_event",
    "account_join",
    "arrival",
    "batch",
    "batch_chunk",
    "batch_mapping",
    "batch_upload",
    "batch_upload_block",
    "binding",
    "binding_tries",
    "card_event",
    "code_policy",
    "code_record",
    "code_trouble",
    "code_use",
    "family",
    "holder",
    "label",
    "offline_use",
    "physical_card",
    "record_archive",
    "registry_resident",
    "tag",
]
