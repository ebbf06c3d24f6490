"""Calls to WeChat Pay: sign, send, verify, and what a signed refusal means.

An answer is believed only when its signature verifies, whatever its status: an unsigned 404 must not make a paid order
look absent.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from yimatong.crypto.pem import UNREADABLE
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer, Outbound
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.wechat import keys, signing
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.errors import AccountUnusable, ChannelAlreadyPaid, ChannelBusy, ChannelRefused

PARTY = "wechat"
SUCCESS = range(200, 300)
_REFUSAL = range(400, 500)
_BUSY = 429
# WeChat Pay's products spell some codes in two ways; both are in its error tables.
UNKNOWN_NUMBER = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS", "NOT_FOUND"})
CLOSED = frozenset({"ORDER_CLOSED", "ORDERCLOSED", "ORDERREVERSED"})
_PAID = frozenset({"ORDERPAID", "ORDER_PAID"})
_SLOWER = frozenset({"FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED"})
_OPEN = frozenset({"SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR"})
"""Refusals by name, open by meaning: WeChat Pay asks the merchant to query after them."""


class Connection:
    """Signed calls on behalf of accounts. Stateless; ``base_url`` has no trailing slash."""

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url`` (https://api.mch.weixin.qq.com in production)."""
        self._outbound = outbound
        self._base_url = base_url

    async def call(
        self, account: ChannelAccount, method: str, target: str, body: bytes = b"", *, now: datetime, key_id: str = ""
    ) -> Answer:
        """Send and verify; only a signed 2xx or 4xx comes back.

        ``key_id`` is the key that sealed something in the body, where that is not the account's current one.

        Raises:
            AccountUnusable: the account's keys cannot be used; nothing was sent.
            PartyUnreachable, PartyOutcomeUnknown: as in ``kit.http``; also an answer that proves nothing.
        """
        verifying = keys.platform_keys(account, now=now)
        answer = await self.send(account, method, target, body, key_id=key_id or next(iter(verifying)), now=now)
        checked(answer, verifying, now=now)
        return answer

    async def send(
        self, account: ChannelAccount, method: str, target: str, body: bytes, *, key_id: str, now: datetime
    ) -> Answer:
        """Sign and send; the answer is not verified. Errors as in ``call``."""
        try:
            authorization = signing.authorization(
                merchant_id=account.merchant_id,
                serial_no=keys.secret(account, "serial_no"),
                private_key_pem=keys.secret(account, "private_key_pem"),
                method=method,
                target=target,
                body=body.decode(),
                now=now,
                nonce=secrets.token_hex(16),
            )
        except UNREADABLE as error:
            raise AccountUnusable(channel=PARTY, name="private_key_pem", audit=type(error).__name__) from error
        headers = {
            "Authorization": authorization,
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "yimatong",
        }
        if key_id:
            headers["Wechatpay-Serial"] = key_id
        return await self._outbound.send(PARTY, method, self._base_url + target, body=body, headers=headers)


def checked(answer: Answer, verifying: dict[str, str], *, now: datetime) -> None:
    """Let only a signed 2xx or 4xx through. Raises ``PartyOutcomeUnknown`` for anything else."""
    try:
        signing.verify(answer.headers, answer.body, keys=verifying, now=now)
    except signing.Unverified as error:
        raise unknown(audit=f"HTTP {answer.status}, {error}") from error
    if answer.status not in SUCCESS and answer.status not in _REFUSAL:
        raise unknown(audit=f"HTTP {answer.status}")


def unknown(*, audit: str) -> PartyOutcomeUnknown:
    """Return the error of an answer that says nothing reliable."""
    return PartyOutcomeUnknown(party=PARTY, audit=audit)


def code_of(answer: Answer) -> str:
    """Return WeChat Pay's own code of a signed refusal; empty for a success. Raises for a refusal without one."""
    if answer.status in SUCCESS:
        return ""
    try:
        return wire.read(answer.body, wire.ErrorAnswer).code
    except wire.Garbled as error:
        raise unknown(audit=f"HTTP {answer.status}: {error}") from error


def done(answer: Answer) -> Answer:
    """Return a signed success; raise what a signed refusal means.

    Raises:
        ChannelAlreadyPaid: paid before.
        ChannelBusy: too many calls, nothing was done.
        PartyOutcomeUnknown: WeChat Pay does not know itself and asks to query.
        ChannelRefused: declined for good; its code and message are kept.
    """
    code = code_of(answer)
    if not code and answer.status in SUCCESS:
        return answer
    if code in _PAID:
        raise ChannelAlreadyPaid
    if answer.status == _BUSY or code in _SLOWER:
        raise ChannelBusy(audit=code)
    if code in _OPEN:
        raise unknown(audit=code)
    message = wire.read(answer.body, wire.ErrorAnswer).message
    raise ChannelRefused(channel_code=code, channel_message=message)
