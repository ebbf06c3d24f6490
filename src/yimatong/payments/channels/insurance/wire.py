"""Sending a message to the insurance and believing only a signed answer: both interfaces.

A refusal counts only when it is signed: an unsigned one must not make a settled bill look refused. Answers of the
hospital interface are bound to what was asked by what they say of the person, the visit and the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer, Outbound
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.insurance import hospital, keys, signing
from yimatong.payments.channels.insurance.splits import Garbled, text_in
from yimatong.payments.errors import AccountUnusable, ChannelBusy, ChannelRefused

PARTY: Final = "insurance"
_OK: Final = 200
_BUSY: Final = 429
_HEADERS: Final = {"Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}


class Declined(Exception):
    """A genuine refusal of the insurance, with its own code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Wire:
    """The insurance's two interfaces behind one address."""

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url``, without a trailing slash."""
        self._outbound = outbound
        self._base_url = base_url.rstrip("/")

    async def mobile(
        self, account: ChannelAccount, path: str, content: Mapping[str, Any], *, now: datetime
    ) -> dict[str, Any]:
        """Send to the mobile payment centre and return the content of its answer.

        Raises:
            Declined: a signed refusal.
            AccountUnusable, ChannelBusy, PartyUnreachable: nothing was done.
            PartyOutcomeUnknown: no answer, or none to be believed.
        """
        key = keys.of(account)
        try:
            body = signing.compact(signing.seal(key, content, now=now)).encode()
        except ValueError as error:
            raise AccountUnusable(channel=keys.CHANNEL, name="private_key") from error
        answer = await self._send(path, body)
        try:
            message = signing.read_json(answer.body)
            content_told = signing.unseal(key, message, now=now)
            code = text_in(message, "code")
            words = text_in(message, "message")
        except (signing.Unverified, Garbled) as error:
            raise unknown(audit=f"HTTP {answer.status}: {error}") from error
        if code == "":
            raise unknown(audit="the answer has no code")
        if code != "0" or message.get("success") is False:
            raise Declined(code, words)
        return content_told

    async def hospital(
        self,
        account: ChannelAccount,
        infno: str,
        content: Mapping[str, Any],
        *,
        msg: str,
        insuplc: str = "",
        now: datetime,
    ) -> dict[str, Any]:
        """Send to the hospital interface and return the ``output`` of its answer; raises as :meth:`mobile`."""
        answer = await self._hospital(account, infno, content, msg=msg, insuplc=insuplc, now=now)
        try:
            told = signing.read_json(answer.body)
            fields = {name: value for name, value in told.items() if name != "cainfo"}
            signing.verify(keys.of(account), fields, told.get("cainfo"))
            signing.check_age(_digits(text_in(told, "respond_time")), now=now)
            code, words = text_in(told, "infcode"), text_in(told, "err_msg")
            output = told.get("output") or {}
        except (signing.Unverified, Garbled) as error:
            raise unknown(audit=f"{infno}, HTTP {answer.status}: {error}") from error
        if code == "-1":
            raise Declined(code, words)
        if code != "0" or not isinstance(output, dict):
            raise unknown(audit=f"{infno}: infcode {code[:8]}")
        return output

    async def download(self, account: ChannelAccount, content: Mapping[str, Any], *, msg: str, now: datetime) -> bytes:
        """Fetch a file by 9102: octets, not signed themselves. Raises as :meth:`mobile`."""
        return (await self._hospital(account, "9102", content, msg=msg, insuplc="", now=now)).body

    async def _hospital(
        self, account: ChannelAccount, infno: str, content: Mapping[str, Any], *, msg: str, insuplc: str, now: datetime
    ) -> Answer:
        try:
            message = hospital.envelope(account, infno, content, msg=msg, insuplc=insuplc, now=now)
        except ValueError as error:
            raise AccountUnusable(channel=keys.CHANNEL, name="private_key") from error
        return await self._send(hospital.PATH.format(infno=infno), signing.compact(message).encode())

    async def _send(self, path: str, body: bytes) -> Answer:
        answer = await self._outbound.send(PARTY, "POST", self._base_url + path, body=body, headers=_HEADERS)
        if answer.status == _BUSY:
            raise ChannelBusy(audit=path)
        if answer.status != _OK:
            raise unknown(audit=f"HTTP {answer.status}")
        return answer


def unknown(*, audit: str) -> PartyOutcomeUnknown:
    """Return the error of an answer that is missing or not to be believed."""
    return PartyOutcomeUnknown(party=PARTY, audit=audit)


def refused(error: Declined | Garbled, code: str = "") -> ChannelRefused:
    """Return the platform's error of a genuine refusal, or of a question that cannot be put."""
    if isinstance(error, Declined):
        return ChannelRefused(channel_code=code or error.code, channel_message=error.message)
    return ChannelRefused(channel_code=code or "INVALID_REQUEST", channel_message=str(error))


def _digits(stamp: str) -> str:
    """Return ``yyyyMMddHHmmss`` of the 17 digits (with milliseconds) that the hospital interface stamps with."""
    read = "".join(each for each in stamp if each.isdigit())
    return read[:14] if len(read) in (14, 17) else stamp
