"""Password-free agreements (商家扣款): signed by the payer on a page, ended by either side."""

from __future__ import annotations

import secrets
from datetime import datetime

from msgspec.structs import replace

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.alipay.requests import AskAgreement, SignPage
from yimatong.sandbox.alipay.rows import OFFERED, Agreement, AlipayError, Merchant
from yimatong.sandbox.alipay.state import AlipayBooks

NORMAL, STOPPED = "NORMAL", "STOP"
_NONE = (40004, "USER_AGREEMENT_NOT_EXIST", "用户协议不存在")


def offer(
    books: AlipayBooks, merchant: Merchant, asked: SignPage, *, urls: tuple[str, str], now: datetime
) -> Agreement:
    """Show the page to a payer; the same number again is the same page."""
    known = books.agreements.get(f"{merchant.app_id}/{asked.external_agreement_no}")
    if known is not None and asked.external_agreement_no:
        return known
    page = Agreement(
        app_id=merchant.app_id,
        pid=merchant.pid,
        external_agreement_no=asked.external_agreement_no or secrets.token_hex(12),
        personal_product_code=asked.personal_product_code,
        sign_scene=asked.sign_scene,
        notify_url=urls[0],
        return_url=urls[1],
        token=f"agr{secrets.token_hex(12)}",
        created_at=books.business_time(now),
    )
    books.agreements.put(page.key, page)
    return page


def of_token(books: AlipayBooks, token: str) -> Agreement:
    """Return an agreement by the token of its page. Raises ``USER_AGREEMENT_NOT_EXIST``."""
    for each in books.agreements:
        if each.token == token:
            return each
    raise AlipayError(*_NONE)


def agree(books: AlipayBooks, page: Agreement, *, now: datetime) -> Agreement:
    """Let the payer agree; once is enough."""
    if page.status != OFFERED:
        return page
    moment = books.business_time(now)
    agreed = replace(
        page,
        status=NORMAL,
        agreement_no=f"{moment.astimezone(BEIJING):%Y%m%d}{secrets.randbelow(10**12):012d}",
        buyer_id=f"2088{secrets.randbelow(10**12):012d}",
    )
    books.agreements.put(agreed.key, agreed)
    books.tell(agreed, now=now, kind="dut_user_sign")
    return agreed


def find(books: AlipayBooks, merchant: Merchant, asked: AskAgreement) -> Agreement:
    """Return an agreement by either number. Raises ``USER_AGREEMENT_NOT_EXIST``, also before the payer has agreed."""
    for each in books.agreements:
        wanted = (
            each.agreement_no == asked.agreement_no
            if asked.agreement_no
            else each.external_agreement_no == asked.external_agreement_no and each.sign_scene == asked.sign_scene
        )
        if each.app_id == merchant.app_id and wanted and each.status != OFFERED:
            return each
    raise AlipayError(*_NONE)


def end(books: AlipayBooks, merchant: Merchant, asked: AskAgreement, *, now: datetime) -> Agreement:
    """End an agreement. Raises ``USER_AGREEMENT_NOT_EXIST`` when it has ended before."""
    found = find(books, merchant, asked)
    if found.status != NORMAL:
        raise AlipayError(*_NONE)
    ended = replace(found, status=STOPPED)
    books.agreements.put(ended.key, ended)
    books.tell(ended, now=now, kind="dut_user_unsign")
    return ended


def usable(books: AlipayBooks, merchant: Merchant, agreement_no: str) -> Agreement:
    """Return an agreement under which money may be taken. Raises ``ACQ.AGREEMENT_NOT_EXIST``."""
    for each in books.agreements:
        if each.agreement_no == agreement_no and each.app_id == merchant.app_id and each.status == NORMAL:
            return each
    raise AlipayError(40004, "ACQ.AGREEMENT_NOT_EXIST", "用户协议不存在或已解约")
