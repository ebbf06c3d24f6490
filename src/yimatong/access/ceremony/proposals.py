"""What can be proposed at all, and how a proposal reads in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yimatong.access.ceremony import steps
from yimatong.access.ceremony.schemas import ACTIONS, WITH_EMERGENCY, WITH_USAGE, WITH_VERSION, Request
from yimatong.access.errors import CeremonyInvalid
from yimatong.crypto.devices.base import CUSTODIANS, VERSIONS, KeyUsage

_REASON_MAX: Final = 500


def subject(request: Request) -> str:
    """Return what a proposal is about, in one line."""
    parts = [request.action, request.usage, str(request.version or ""), f"KCV {request.kcv}" if request.kcv else ""]
    parts.append("紧急 emergency" if request.emergency else "")
    return " ".join(part for part in parts if part)


def check(request: Request, reason: str) -> None:
    """Refuse a request that makes no sense; raises ``CeremonyInvalid``."""
    problems: Sequence[tuple[bool, str]] = [
        (request.action not in ACTIONS, "操作 / action"),
        (request.action in WITH_USAGE and request.usage not in set(KeyUsage), "密钥用途 / usage"),
        (request.action in WITH_VERSION and request.version not in VERSIONS, "版本 / version"),
        (
            request.action in {"import-component", "backup", "restore"} and request.parts not in CUSTODIANS,
            "2–5 custodians",
        ),
        (request.action.startswith("import") and not steps.is_kcv(request.kcv), "KCV"),
        (request.action.startswith("import") and request.usage == KeyUsage.SIGNING, "签名密钥不导入 / never imported"),
        (request.emergency and request.action not in WITH_EMERGENCY, "--emergency"),
        (not 0 < len(reason.strip()) <= _REASON_MAX, "事由 / reason"),
    ]
    for wrong, what in problems:
        if wrong:
            raise CeremonyInvalid(detail=what)
