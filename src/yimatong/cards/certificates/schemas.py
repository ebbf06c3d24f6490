"""Wire shapes of certificate changes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.cards.accounts.schemas import RealNameMethod, RealNameProof
from yimatong.empi.persons.schemas import Demographics

Vuid = Annotated[str, Meta(pattern=r"^[0-9A-F]{64}(?!\n)$")]


class OldCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificate that is replaced."""

    id_type: Annotated[str, Meta(pattern=r"^[0-9]{2}(?!\n)$", examples=["03"])]
    id_number: Annotated[str, Meta(min_length=4, max_length=40, examples=["E12345678"])]


class CertificateChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new certificate of a resident, and the one it replaces; residents without a certificate have no old one."""

    resident: Demographics
    real_name: RealNameMethod
    old: OldCertificate | None = None
    proof: RealNameProof | None = None


class AliasSwitch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Switch an earlier VUID off, or on again."""

    on: bool


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier VUID of an account."""

    vuid: str
    on: bool


class Aliases(msgspec.Struct, frozen=True, kw_only=True):
    """The VUID of today and the earlier ones that lead to it."""

    vuid: str
    aliases: list[Alias]
