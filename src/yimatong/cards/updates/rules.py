"""What a change of registered facts needs, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from yimatong.cards.errors import ProofNeeded
from yimatong.empi.persons.schemas import Demographics

CERTIFICATE_READ: Final = "certificate_read"

FOLLOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("index", "registry"),
    "sex": ("index", "registry"),
    "birth_date": ("index", "registry"),
    "phone": ("index",),
    "address": ("index",),
    "nation": ("index",),
    "marital": ("index",),
    "occupation": ("index",),
}
"""Everything that is registered is the index's; what is printed on plastic is the card registry's, too."""

ZH: Final = {"name": "姓名", "sex": "性别", "birth_date": "出生日期", "phone": "手机号码"}


def differences(known: Demographics, wanted: Demographics) -> list[str]:
    """Return the names of the facts that differ."""
    before, after = msgspec.structs.asdict(known), msgspec.structs.asdict(wanted)
    return [name for name in FOLLOWS if before[name] != after[name]]


def follows(changed: Collection[str]) -> list[str]:
    """Return where a change of these facts goes on to."""
    return sorted({place for name in changed for place in FOLLOWS[name]})


def require_proof(changed: Collection[str], *, method: str, level: int, account_level: int) -> None:
    """Refuse a change without the proof that it needs.

    Sex and birth date change with the certificate in the reader only. Name and phone change with a proof at least as
    strong as the account has, and never with a mere statement; the rest is what the resident says.

    Raises:
        ProofNeeded: names the first such fact.
    """
    for name in changed:
        if name in ("sex", "birth_date") and method != CERTIFICATE_READ:
            raise ProofNeeded(field=f"{ZH[name]} ({name})", needed=CERTIFICATE_READ)
        if name in ("name", "phone") and level < max(account_level, _PROVEN):
            raise ProofNeeded(
                field=f"{ZH[name]} ({name})", needed="certificate_read / police_online / bank_online / insurance_online"
            )


_PROVEN: Final = 2
