"""The news that accounts and registry send each other; both sides name them from here."""

from __future__ import annotations

from typing import Final

ACCOUNTS_CHANGED: Final = "cards.accounts_changed"
"""From the accounts to the registry."""

MESSAGE_ITEMS_MAX: Final = 500
