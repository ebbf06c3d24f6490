"""Password-free agreements (商家扣款): the page that the payer signs on, how an agreement stands, how it ends. Pure.

Sources: opendocs.alipay.com, alipay.user.agreement.page.sign / query / unsign. The product and the scene are agreed
between merchant and Alipay and stand in the account's profile (``personal_product_code``, ``sign_scene``). Alipay keeps
nothing of a page that the payer has not finished, so *no such agreement* is *waiting* for ``PAGE_HOLDS`` after it was
shown; the documents give no life of the page, half an hour is ours.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import msgspec

from yimatong.payments.channels.abilities import AgreementRequest, AgreementStanding, ChannelAgreement
from yimatong.payments.channels.alipay.replies import Garbled, read
from yimatong.payments.channels.base import ChannelAccount

PAGE_SIGN = "alipay.user.agreement.page.sign"
QUERY = "alipay.user.agreement.query"
UNSIGN = "alipay.user.agreement.unsign"
PAGE_HOLDS = timedelta(minutes=30)
NO_SUCH_AGREEMENT = frozenset({"USER_AGREEMENT_NOT_EXIST", "AGREEMENT_NOT_EXIST", "ACQ.AGREEMENT_NOT_EXIST"})
"""The documents spell it differently by product; that Alipay sends each of them is not verified."""
_PREFIX = "agr_"
_BARE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_STANDING = {
    "TEMP": AgreementStanding.WAITING,
    "NORMAL": AgreementStanding.AGREED,
    "STOP": AgreementStanding.ENDED,
    "UNSIGN": AgreementStanding.ENDED,
}


class _Agreement(msgspec.Struct, frozen=True, kw_only=True):
    agreement_no: str
    status: str
    external_agreement_no: str = ""


def external_no(request_no: str) -> str:
    """Return what Alipay is told of our number: ``external_agreement_no`` holds 32 characters, so no prefix."""
    return request_no.removeprefix(_PREFIX)


def request_of(external: str) -> str:
    """Return our number by what Alipay was told of it."""
    return _PREFIX + external if _BARE.fullmatch(external) else external


def sign_facts(account: ChannelAccount, request: AgreementRequest) -> dict[str, Any]:
    """Return the ``biz_content`` of the page on which the payer agrees."""
    return {
        **_scene(account),
        "product_code": account.profile.get("agreement_product_code", "GENERAL_WITHHOLDING"),
        "external_agreement_no": external_no(request.request_no),
        "access_params": {"channel": account.profile.get("access_channel", "ALIPAYAPP")},
    }


def query_facts(account: ChannelAccount, request: AgreementRequest) -> dict[str, Any]:
    """Return the ``biz_content`` that asks by our own number."""
    return {**_scene(account), "external_agreement_no": external_no(request.request_no)}


def unsign_facts(agreement_no: str) -> dict[str, Any]:
    """Return the ``biz_content`` that ends an agreement."""
    return {"agreement_no": agreement_no}


def decode_agreement(node: str, request: AgreementRequest) -> ChannelAgreement:
    """Return the agreement that a query describes; a word that we do not know is *waiting*. Raises ``Garbled``."""
    told = read(node, _Agreement)
    if told.external_agreement_no not in ("", external_no(request.request_no)):
        message = "the reply is about another agreement"
        raise Garbled(message)
    return ChannelAgreement(
        request_no=request.request_no,
        standing=_STANDING.get(told.status, AgreementStanding.WAITING),
        agreement_no=told.agreement_no,
    )


def no_such_agreement(request: AgreementRequest, *, now: datetime) -> ChannelAgreement:
    """Return what *no such agreement* means: waiting while the payer may still be on the page, absent afterwards."""
    may_come = now < request.placed_at + PAGE_HOLDS
    standing = AgreementStanding.WAITING if may_come else AgreementStanding.ABSENT
    return ChannelAgreement(request_no=request.request_no, standing=standing)


def _scene(account: ChannelAccount) -> dict[str, Any]:
    return {
        "personal_product_code": account.profile.get("personal_product_code", "GENERAL_WITHHOLDING_P"),
        "sign_scene": account.profile.get("sign_scene", "INDUSTRY|MEDICAL"),
    }
