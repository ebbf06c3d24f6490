"""What every page of the console shows around its content: the menu that the operator's roles open."""

from __future__ import annotations

from typing import Any, Final

from yimatong.web.page import Page

ENTRIES: Final = (
    ("home", "/console", "console:home"),
    ("reviews", "/console/reviews", "console:reviews"),
    ("persons", "/console/persons", "console:persons"),
    ("statistics", "/console/statistics", "console:statistics"),
    ("domains", "/console/domains", "console:domains"),
    ("rules", "/console/rules", "console:rules"),
    ("accounts", "/console/accounts", "console:accounts"),
    ("physical", "/console/physical-cards", "console:physical"),
    ("batches", "/console/batches", "console:batches"),
    ("batch-rows", "/console/batch-rows", "console:batch-rows"),
    ("coverage", "/console/coverage", "console:coverage"),
    ("codes", "/console/codes", "console:codes"),
    ("live", "/console/live", "console:live"),
    ("payments", "/console/payments", "console:payments"),
    ("parked", "/console/parked", "console:deliveries"),
    ("channels", "/console/channels", "console:channels"),
    ("services", "/console/service-channels", "console:channels"),
    ("discrepancies", "/console/discrepancies", "console:discrepancies"),
    ("policies", "/console/policies", "console:policies"),
    ("keys", "/console/keys", "console:key-list"),
    ("audit", "/console/audit", "console:audit"),
)
"""Name of the entry (its text is ``menu.<name>``), address, permission."""


def shell(page: Page, here: str) -> dict[str, Any]:
    """Return the names that ``console/base.html`` needs."""
    allowed = page.operator.permissions
    return {
        "here": here,
        "entries": [(name, address) for name, address, permission in ENTRIES if permission in allowed],
        "roles": sorted(page.operator.roles),
    }
