"""The authenticated caller of a request, and what each kind of caller may do."""

from __future__ import annotations

from typing import Final

import msgspec

from yimatong.access.errors import NotPermitted

PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    "app": frozenset(
        {
            "accounts:register",
            "accounts:read",
            "accounts:search",
            "accounts:change",
            "cards:change",
            "cards:read",
            "codes:issue",
            "codes:revoke",
            "labels:read",
            "labels:revoke",
            "records:read",
            "pages:link",
            "orders:read",
            "orders:pay",
            "payables:read",
            "payables:pay",
            "agreements:read",
            "agreements:write",
            "persons:register",
            "persons:read",
            "persons:subscribe",
            "persons:count",
            "cross-indexes:read",
            "domains:read",
        }
    ),
    "institution": frozenset(
        {
            "accounts:register",
            "accounts:enter",
            "accounts:read",
            "accounts:search",
            "accounts:change",
            "cards:change",
            "cards:deliver",
            "cards:issue",
            "cards:read",
            "codes:issue",
            "codes:verify",
            "residents:identify",
            "codes:revoke",
            "labels:print",
            "labels:read",
            "labels:revoke",
            "records:read",
            "visit-cards:read",
            "visit-cards:write",
            "visits:write",
            "visits:read",
            "bills:write",
            "bills:read",
            "orders:read",
            "orders:write",
            "orders:pay",
            "orders:scan",
            "payables:read",
            "payables:pay",
            "agreements:read",
            "agreements:write",
            "refunds:write",
            "refunds:read",
            "persons:register",
            "persons:read",
            "persons:search",
            "persons:match",
            "persons:merge",
            "persons:cancel",
            "persons:subscribe",
            "persons:count",
            "cross-indexes:read",
            "cross-indexes:write",
            "domains:read",
        }
    ),
    "terminal": frozenset(
        {
            "accounts:register",
            "codes:issue",
            "codes:verify",
            "kiosk:link",
            "labels:print",
            "residents:identify",
            "visits:write",
            "bills:read",
            "orders:pay",
            "orders:scan",
            "payables:read",
            "payables:pay",
        }
    ),
    "front": frozenset(),
}
"""What each kind may do. A front does nothing itself: it carries what others signed."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed the request. ``front_id`` is the front it came through, if any."""

    caller_id: str
    kind: str
    name: str
    institution_id: str | None
    switched_off: frozenset[str] = frozenset()
    front_id: str | None = None

    @property
    def permissions(self) -> frozenset[str]:
        """Return what this caller may do now."""
        return PERMISSIONS[self.kind] - self.switched_off

    def require(self, permission: str) -> None:
        """Refuse an operation outside the caller's permissions.

        Raises:
            NotPermitted: the permission is missing.
        """
        if permission not in self.permissions:
            raise NotPermitted(permission=permission)

    @property
    def holder(self) -> str:
        """Return in whose name it acts: its institution, else itself; its references to persons are made for that."""
        return self.institution_id or self.caller_id

    @property
    def at_counter(self) -> bool:
        """Say whether it stands in an institution: its own system, a window, a kiosk."""
        return self.kind in {"institution", "terminal"}

    @property
    def scope(self) -> Scope:
        """Return whose rows this caller may see."""
        return Scope(institution_id=self.institution_id, caller_id=self.caller_id)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose rows a query may return: those of one institution, else those of one caller.

    ``all_rows`` is for the platform itself: workers, operators of the province.
    """

    institution_id: str | None = None
    caller_id: str = ""
    all_rows: bool = False


PLATFORM: Final = Scope(all_rows=True)
"""The scope of the platform's own processes."""
