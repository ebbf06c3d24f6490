"""Shapes of channel health."""

from __future__ import annotations

from datetime import datetime

import msgspec


class AccountHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one merchant account stands. Counts are of the last five minutes, bills left out.

    ``mood``: ``well``, ``sick`` or ``trying``; ``pin``: ``shown`` or ``hidden`` where an operator said so. ``hidden``:
    the cashier does not offer it now. ``answered_permille`` and ``mean_ms`` are None where nothing was asked.
    """

    account_id: str
    institution_id: str
    channel: str
    state: str
    mood: str
    pin: str
    hidden: bool
    since: datetime | None
    try_at: datetime | None
    asked: int
    answered: int
    answered_permille: int | None
    mean_ms: int | None
    max_ms: int


class ChannelsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """An institution's own merchant accounts, by channel."""

    window_s: int
    accounts: list[AccountHealth]


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What one account counted in one minute, over all verbs but bills."""

    minute: datetime
    ok: int
    refused: int
    silent: int
    ms_sum: int
    ms_max: int
