"""Shapes of the administration of merchant accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
SecretName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}(?!\n)$")]
Text = Annotated[str, Meta(max_length=500, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")]


class AccountFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merchant account as it stands in a TOML or JSON file.

    What is left out of one that exists stays: a file with ``account_id`` and one secret changes that secret alone.
    ``profile`` replaces the whole profile where it is given.
    """

    account_id: Id
    institution_id: Id | None = None
    channel: Annotated[str, Meta(pattern=r"^[a-z]{1,16}(?!\n)$")] | None = None
    merchant_id: Text | None = None
    app_id: Text | None = None
    profile: dict[SecretName, Text] | None = None
    secrets: dict[SecretName, Annotated[str, Meta(min_length=1, max_length=20_000)]] = {}

    def __repr__(self) -> str:
        """Say whose file it is, and nothing that is secret."""
        return f"<AccountFile {self.account_id}>"


class KeyInUse(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of an account by its name; the value never leaves.

    ``fingerprint``: the first twelve hex characters of the SM3 of a public key or certificate (its DER), empty for
    what is secret. ``previous``: it counts only until the change-over ends. ``not_after``: a certificate's end.
    """

    name: str
    kind: str
    fingerprint: str = ""
    previous: bool = False
    not_after: datetime | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant account as its administrators see it."""

    account_id: str
    institution_id: str
    channel: str
    merchant_id: str
    app_id: str
    profile: dict[str, str]
    state: str
    created_at: datetime
    keys: list[KeyInUse] = []


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits for a second person. ``names``: the secrets that it would put in, by name alone."""

    approval_id: str
    account_id: str
    institution_id: str
    verb: str
    facts: dict[str, str]
    names: list[str]
    reason: str
    proposer_id: str
    proposed_at: datetime
