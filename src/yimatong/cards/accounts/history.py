"""变更历史: who changed an account, when and from where, and what was before and after.

Before and after are masked by their types first and sealed then, so that neither a page nor a stolen table tells more
than the mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import insert

from yimatong.access.caller import Caller, Scope
from yimatong.cards.models import account_event
from yimatong.crypto.sealing import Sealer
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.kit.masking import masked

STRENGTHS: Final[Mapping[str, int]] = {"app": 1, "terminal": 2, "institution": 2, "operator": 3}
"""How strong a party is when it asks to undo what another did: the card office before an institution before an app."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """From where a change comes. ``holder`` is the institution or app in whose name it is made."""

    actor: str
    actor_kind: str
    holder: str
    scope: Scope
    institution_id: str | None = None
    front_id: str | None = None
    request_id: str = ""

    @property
    def strength(self) -> int:
        """Return how strong this party is."""
        return STRENGTHS[self.actor_kind]


def of_caller(caller: Caller, request_id: str) -> Origin:
    """Return the origin of a signed request."""
    return Origin(
        actor=caller.caller_id,
        actor_kind=caller.kind,
        holder=caller.institution_id or caller.caller_id,
        scope=caller.scope,
        institution_id=caller.institution_id,
        front_id=caller.front_id,
        request_id=request_id,
    )


def of_operator(operator_id: str, scope: Scope, request_id: str) -> Origin:
    """Return the origin of a console page; a hospital's own operator is as strong as the hospital."""
    return Origin(
        actor=operator_id,
        actor_kind="operator" if scope.all_rows else "institution",
        holder=scope.institution_id or "platform",
        scope=scope,
        institution_id=scope.institution_id,
        request_id=request_id,
    )


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says beside its name: masked values by field, and a reason."""

    before: dict[str, str] = {}
    after: dict[str, str] = {}
    reason: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an account's history."""

    event_id: str
    vuid: str
    what: str
    at: datetime
    actor: str
    actor_kind: str
    institution_id: str | None
    front_id: str | None
    request_id: str
    change: Change


_change = msgspec.json.Decoder(Change)


async def note(
    connection: Connection,
    sealer: Sealer,
    vuid: str,
    what: str,
    *,
    origin: Origin,
    now: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    reason: str = "",
) -> None:
    """Write one event into the open transaction. Values typed as personal data are masked here."""
    event_id = new_id("aev")
    change = Change(before=_shown(before), after=_shown(after), reason=reason)
    sealed = sealer.seal(msgspec.json.encode(change), aad(vuid, event_id)) if change != Change() else None
    await connection.execute(
        insert(account_event).values(
            vuid=vuid,
            event_id=event_id,
            what=what,
            actor=origin.actor,
            at=now,
            actor_kind=origin.actor_kind,
            institution_id=origin.institution_id,
            front_id=origin.front_id,
            request_id=origin.request_id,
            sealed=sealed,
        )
    )


def aad(vuid: str, event_id: str) -> bytes:
    """Bind a sealed change to its row."""
    return f"cards_account_event:{vuid}:{event_id}".encode()


def opened(sealer: Sealer, vuid: str, event_id: str, sealed: bytes | None) -> Change:
    """Open the change of a row; an event without one has none.

    Raises:
        SealBroken: the row was edited.
    """
    return Change() if sealed is None else _change.decode(sealer.unseal(sealed, aad(vuid, event_id)))


def _shown(values: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(masked(value)) for name, value in (values or {}).items()}
