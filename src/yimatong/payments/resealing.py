"""What the payment room keeps sealed, for the job that seals it anew after a rotation (``access.resealing``)."""

from __future__ import annotations

from typing import Final

from yimatong.access.resealing import SealedColumn
from yimatong.payments import accounts, placed
from yimatong.payments.administration import service as changing
from yimatong.payments.agreements import limits
from yimatong.payments.models import account_change, agreement, channel_account, leg, receipt, service_channel, stay
from yimatong.payments.receipts import queries as receipts
from yimatong.payments.service_channels import queries as services

PLACES: Final = (
    SealedColumn(
        table=channel_account,
        key=("account_id",),
        column="secrets_sealed",
        purpose=accounts.PURPOSE,
        aad=accounts.aad,
    ),
    SealedColumn(
        table=agreement,
        key=("agreement_id",),
        column="request_sealed",
        purpose=limits.PURPOSE,
        aad=limits.request_aad,
    ),
    SealedColumn(
        table=agreement,
        key=("agreement_id",),
        column="agreement_no_sealed",
        purpose=limits.PURPOSE,
        aad=limits.number_aad,
    ),
    SealedColumn(
        table=service_channel,
        key=("service_channel_id",),
        column="keys_sealed",
        purpose=services.PURPOSE,
        aad=services.aad,
    ),
    SealedColumn(
        table=account_change,
        key=("approval_id",),
        column="secrets_sealed",
        purpose=accounts.PURPOSE,
        aad=changing.aad,
    ),
    SealedColumn(
        table=leg,
        key=("order_no", "part"),
        column="references_sealed",
        purpose=placed.PURPOSE,
        aad=placed.aad,
    ),
    SealedColumn(
        table=receipt,
        key=("order_no", "request_no"),
        column="content_sealed",
        purpose=receipts.PURPOSE,
        aad=receipts.aad,
    ),
    SealedColumn(
        table=stay,
        key=("institution_id", "source_kind", "source_id"),
        column="content_sealed",
        purpose=receipts.PURPOSE,
        aad=receipts.stay_aad,
    ),
)
