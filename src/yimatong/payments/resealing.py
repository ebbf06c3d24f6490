"""What the payment room keeps sealed, for the job that seals it anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from typing import Final

from yimatong.access.resealing import SealedColumn
from yimatong.payments import accounts
from yimatong.payments.models import channel_account

PLACES: Final = (
    SealedColumn(
        table=channel_account,
        key=("account_id",),
        column="secrets_sealed",
        purpose=accounts.PURPOSE,
        aad=accounts.aad,
    ),
)
