"""Ten thousand physical cards and a few deliveries, for the pages' tests."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from yimatong.apps.assembly import Parts
from yimatong.cards.models import arrival, physical_card
from yimatong.kit import clock

NUMBER, CARDS = "610100200001234567", 10_000
STATES = ("issued", "issued", "issued", "issued", "lost", "replaced", "cancelled")


async def lay_out(tx: Any, parts: Parts) -> None:
    """Fill the registry, drawn from one seed; the newest card has the number ``NUMBER``."""
    draw, now, blinder = random.Random(11), clock.now(), await parts.vault.blinder()
    rows: list[dict[str, Any]] = []
    for number in range(CARDS):
        state = STATES[number % len(STATES)]
        at = now - timedelta(seconds=37 * number)
        rows.append(
            {
                "card_id": f"pcd_{CARDS - number:032x}", "card_type": draw.choice(["01", "01", "01", "03", "04"]),
                "number_blind": draw.randbytes(16), "number_end": f"{draw.randrange(10_000):04d}",
                "chip_blind": draw.randbytes(16) if number % 3 else None, "sealed": b"", "issuer": "435628013",
                "state": state, "id_type": "01", "id_blind": draw.randbytes(16),
                "vuid": f"{number:064X}" if number % 2 else None,
                "replaced_by": "pcd_" + "0" * 32 if state == "replaced" else None,
                "institution_id": draw.choice(["inst-h1", "inst-h1", "inst-v1"]), "issued_at": at, "changed_at": at,
            }
        )  # fmt: skip
    rows[0] |= {"card_type": "01", "number_blind": blinder.card_blind("01", NUMBER), "number_end": NUMBER[-4:]}
    await tx.execute(insert(physical_card), rows)
    arrivals = [
        {
            "arrival_id": f"arr_{number}", "delivery": f"2026-11-{20 + number % 3}", "line": number + 1,
            "institution_id": "inst-v1" if number % 3 else "inst-h1", "card_type": "01",
            "number_blind": number.to_bytes(16, "big"), "number_end": "1234", "sealed": b"",
            "state": ("done", "done", "refused", "waiting")[number % 4] if number % 3 else "done",
            "reason": "EMP-1001" if number % 3 and number % 4 == 2 else None, "received_at": now,
            "received_by": "his-1",
        }
        for number in range(300)
    ]  # fmt: skip
    await tx.execute(insert(arrival), arrivals)
