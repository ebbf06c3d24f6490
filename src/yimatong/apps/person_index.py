"""The person index behind the health interfaces, for the process that serves them and the worker that delivers."""

from __future__ import annotations

from yimatong.apps.assembly import Parts
from yimatong.gateways.health.core import Index


def person_index(parts: Parts) -> Index:
    """Return it as the health interfaces use it."""
    return Index(
        parts.db,
        parts.vault,
        destinations=parts.destinations,
        subscribers_to_all=parts.settings.subscribers_to_all,
    )
