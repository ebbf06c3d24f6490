"""Tables of the person index, one module a group."""

from yimatong.empi.models.cancelling import cancellation
from yimatong.empi.models.identifiers import identifier, identifier_domain, identifier_domain_version, medium
from yimatong.empi.models.matching import block, decision, dry_run, match_model, merge, rejected_pair, rule_set
from yimatong.empi.models.national import national_cursor, national_inbox, national_item
from yimatong.empi.models.news import change, change_cursor, subscription
from yimatong.empi.models.people import certificate, contribution, domain_entry, person
from yimatong.empi.models.reviews import double_check, review, review_step

__all__ = [
    "block",
    "cancellation",
    "certificate",
    "change",
    "change_cursor",
    "contribution",
    "decision",
    "domain_entry",
    "double_check",
    "dry_run",
    "identifier",
    "identifier_domain",
    "identifier_domain_version",
    "match_model",
    "medium",
    "merge",
    "national_cursor",
    "national_inbox",
    "national_item",
    "person",
    "rejected_pair",
    "review",
    "review_step",
    "rule_set",
    "subscription",
]
