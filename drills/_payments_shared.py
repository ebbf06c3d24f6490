"""The shared forms of placing and of starting: what the edge uses where requests come at the same moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from _payments_database import SeedDatabase

from yimatong.access import idempotency, shared
from yimatong.access.caller import Caller
from yimatong.crypto.vault import Vault
from yimatong.kit import audit
from yimatong.kit.together import Piece
from yimatong.payments.cashier import sharing as starting
from yimatong.payments.desk import Desk
from yimatong.payments.orders.placing import Placement, Placer
from yimatong.payments.orders.schemas import NewOrder


class SharedForms:
    """The batches of a seed's cores."""

    def __init__(self, db: SeedDatabase, desk: Desk, vault: Vault) -> None:
        async def sealer() -> Any:
            return await vault.sealer("idempotency")

        self._placements = db.batch(shared.sharing(Placer(desk).place, sealer))
        self.starts = starting.shared(desk, db)  # type: ignore[arg-type]  # the same methods

    async def place(self, caller: Caller, key: str, body: bytes, new: NewOrder, *, now: datetime) -> bytes:
        """Place an order together with those that come at the same moment; the answer as it was given first."""
        write = shared.SharedWrite(
            caller=caller,
            key=key,
            digest=idempotency.digest("POST", "/drill", body),
            request_id="drill",
            action="drill",
            path="/drill",
            personal=False,
            now=now,
            payload=Placement(new=new, caller=caller, now=now),
        )
        answer: tuple[int, bytes] = await self._placements.submit(write)
        return answer[1]


def note(now: datetime) -> Piece:
    """Return the audit row that a start writes beside its intent."""
    return audit.recording(
        actor="drill",
        institution_id=None,
        action="drill",
        object_kind="route",
        object_id="/drill",
        request_id="drill",
        now=now,
    )
