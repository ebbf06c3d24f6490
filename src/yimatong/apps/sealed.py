"""Every place of the platform where something is sealed under a data key, room by room."""

from __future__ import annotations

from yimatong.access import resealing as access
from yimatong.access.resealing import Place
from yimatong.cards import resealing as cards
from yimatong.empi import resealing as empi
from yimatong.kit.settings import Settings
from yimatong.payments import resealing as payments
from yimatong.reconciliation import resealing as reconciliation


def places(settings: Settings) -> list[Place]:
    """Return them in the order in which they are sealed anew."""
    return [
        *access.PLACES,
        *payments.PLACES,
        *empi.PLACES,
        *cards.PLACES,
        reconciliation.bills(settings.data),
        cards.archived(settings.archive_folder),
    ]
