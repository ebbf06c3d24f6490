"""The electronic insurance credential (医保电子凭证) and the settlement code (结算码), for certificate facts and back.

A window scans a resident's settlement code and wants to know who she is; a resident shows her health card code, behind
which the platform knows her certificate, and the mobile payment centre wants a credential token. Both are one exchange.

The decoding interface of the national credential centre is not public (it is handed to admitted institutions with
their keys), so this wire is our own towards our simulator: one more message in the envelope of the mobile payment
centre, ``/org/local/api/ec/exchange``, whose fields borrow the names of 6201. A province that connects the real centre
changes this module and nothing else. Pure, but for the account's clock that the caller passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from yimatong.kit.clock import BEIJING
from yimatong.kit.masking import IdNumber, PersonName, Secret
from yimatong.payments.channels.abilities import Insured
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.insurance import keys
from yimatong.payments.channels.insurance.splits import Garbled, needed, text_in

PATH: Final = "/org/local/api/ec/exchange"


class Shown(StrEnum):
    """What is exchanged."""

    TOKEN = "ecToken"  # noqa: S105 -- the credential's token, as an app got it
    AUTHORISATION = "payAuthNo"  # a payment authorisation that a wallet asked the payer for
    SETTLEMENT_CODE = "setlCode"  # what the payer shows at the window
    CERTIFICATE = "certificate"  # name and certificate: the way from a health card


class CredentialAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What to exchange: ``value`` for a token, an authorisation or a code; the certificate otherwise."""

    shown: Shown
    value: Secret = Secret("")
    name: str = ""
    id_type: str = ""
    id_number: str = ""


class CredentialFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Whose credential it is, and a token that can pay. Personal data: never logged, stored sealed only."""

    token: Secret
    token_field: str
    """The name under which the centre wants the token: ``ecToken`` or ``payAuthNo``."""
    name: PersonName
    id_type: str
    id_number: IdNumber
    psn_no: str
    insutype: str
    insuplc: str
    settlement_code: Secret = Secret("")
    expires_at: datetime | None = None


def of_insured(insured: Insured) -> CredentialAsked:
    """Return what is to be exchanged before a bill is presettled: what she showed, else her certificate."""
    kinds = {"ecert": Shown.TOKEN, "pay_auth": Shown.AUTHORISATION, "setl_code": Shown.SETTLEMENT_CODE}
    shown = kinds.get(insured.credential, Shown.CERTIFICATE)
    return CredentialAsked(
        shown=shown,
        value=insured.credential_no if shown is not Shown.CERTIFICATE else Secret(""),
        name=insured.name,
        id_type=insured.id_type,
        id_number=insured.id_number,
    )


def encode(account: ChannelAccount, asked: CredentialAsked) -> dict[str, Any]:
    """Return the content of the exchange."""
    content: dict[str, Any] = {"orgCodg": keys.institution(account), "exchType": asked.shown.value}
    if asked.shown is Shown.CERTIFICATE:
        return content | {"userName": asked.name, "idType": asked.id_type, "idNo": asked.id_number}
    return content | {asked.shown.value: str.__str__(asked.value)}


def decode(told: Mapping[str, Any], asked: CredentialAsked) -> CredentialFacts:
    """Return whose credential it is. Raises ``Garbled``."""
    authorised = asked.shown is Shown.AUTHORISATION
    token = str.__str__(asked.value) if authorised else needed(told, "ecToken")
    return CredentialFacts(
        token=Secret(token),
        token_field=Shown.AUTHORISATION.value if authorised else Shown.TOKEN.value,
        name=PersonName(needed(told, "userName")),
        id_type=needed(told, "idType"),
        id_number=IdNumber(needed(told, "idNo")),
        psn_no=needed(told, "psnNo"),
        insutype=text_in(told, "insutype"),
        insuplc=text_in(told, "insuplcAdmdvs"),
        settlement_code=Secret(text_in(told, "setlCode")),
        expires_at=_until(text_in(told, "expireTime")),
    )


def belongs(facts: CredentialFacts, insured: Insured) -> bool:
    """Say whether a credential is the insured person's own: nobody pays by another's insurance."""
    ours = (insured.id_type, insured.id_number.upper(), insured.name)
    return (facts.id_type, str.__str__(facts.id_number).upper(), str.__str__(facts.name)) == ours


def _until(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError as error:
        message = "expireTime is no time"
        raise Garbled(message) from error
