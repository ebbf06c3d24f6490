"""What a key ceremony is about, and what two custodians can agree to.

A proposal is a row of ``access.approvals``; a ceremony is the row beside it that says how far the device is with it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from yimatong.crypto.devices.base import Component, KeyInfo, KeyState

KIND: Final = "keys"
"""Kind of the approvals."""

ACTIONS: Final = {
    "generate": "生成新版本 generate",
    "import-component": "分量导入 import components",
    "import-wrapped": "密文导入 import a wrapped key",
    "rotate": "轮换 rotate",
    "switch-off": "停用 switch off",
    "switch-on": "启用 switch on",
    "destroy": "销毁 destroy",
    "backup": "备份 back up",
    "restore": "恢复 restore",
    "cut-off": "断开密钥系统 cut off",
}
"""What can be proposed, and what people read."""

WITH_USAGE: Final = frozenset(ACTIONS) - {"backup", "restore", "cut-off"}
WITH_VERSION: Final = frozenset({"switch-off", "switch-on", "destroy"})
WITH_EMERGENCY: Final = WITH_USAGE - {"switch-on"}
BY_HAND: Final = frozenset({"import-component", "import-wrapped", "backup", "restore"})
"""Actions that need something from the custodians' hands after the approval; the others run with it."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is proposed. ``parts``: custodians of an import by components, a backup or a restore; ``kcv``: announced.

    ``emergency``: do it although valid codes are refused by it, or a reserved version number is taken.
    """

    action: str
    usage: str = ""
    version: int = 0
    parts: int = 0
    kcv: str = ""
    emergency: bool = False


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What custodians put in when an approved ceremony is performed; never stored, never logged."""

    components: tuple[Component, ...] = ()
    blob: bytes = b""

    def __repr__(self) -> str:
        return "Given(***)"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How a ceremony stands: ``info`` the version it was about, ``blob`` a backup, ``parts_missing`` components."""

    info: KeyInfo | None = None
    blob: bytes = b""
    parts_missing: int = 0


class Ceremony(msgspec.Struct, frozen=True, kw_only=True):
    """A ceremony as it is listed. ``state``: proposed, rejected, approved, running, done, failed."""

    approval_id: str
    request: Request
    reason: str
    state: str
    proposer_id: str
    proposed_at: datetime
    approver_id: str | None
    decided_at: datetime | None
    done_at: datetime | None
    version: int | None
    failure: str
    custodians: tuple[str, ...]
    """Operators who brought components so far, by part."""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform knows of a key version; a cut-off stands as usage ``device``, version 0."""

    usage: str
    version: int
    state: KeyState
    kcv: str
    made_at: datetime
    since: datetime


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the device and the ledger stand. ``back``: where the device has gone back, with what it says instead."""

    infos: tuple[KeyInfo, ...]
    is_cut_off: bool
    demonstration: bool
    anchor: int
    entries: tuple[LedgerEntry, ...]
    back: tuple[tuple[LedgerEntry, str], ...]
