"""Telling a caller's own system: signed like a request of the native API, at least once.

A repeat carries the same ``Idempotency-Key``, so a system that books and then fails to answer recognises it. Any 2xx is
*taken*. Where to is checked twice: when an address is given, and again by what its name means when it is called, so
that nobody makes the platform talk to itself or to its own network (SSRF, CWE-918).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NoReturn
from urllib.parse import urlsplit

import msgspec

from yimatong.access import request_auth
from yimatong.access.callers import Webhook
from yimatong.access.errors import WebhookAddressRefused, WebhookNotTaken
from yimatong.kit import clock
from yimatong.kit.http import Outbound

JSON: Final = "application/json"
_URL_LENGTH: Final = 500


class Destinations(msgspec.Struct, frozen=True, kw_only=True):
    """Where deliveries may go. ``hosts``: names, ``.endings`` of names, and networks (``10.20.0.0/16``).

    With ``hosts`` only they; without, every host that is not this machine's or link-local, and in production no private
    network. ``production``: https only.
    """

    production: bool
    hosts: tuple[str, ...] = ()

    def check(self, url: str) -> None:
        """Refuse an address that nothing is delivered to.

        Raises:
            WebhookAddressRefused: says why.
        """
        host = _host(url, production=self.production)
        if not self._named(host):
            self._check_ip(host)

    async def check_now(self, url: str) -> None:
        """Refuse an address by what its name means at this moment; what cannot be resolved is left to the call.

        Raises:
            WebhookAddressRefused: says why.
        """
        self.check(url)
        host = _host(url, production=self.production)
        if self._named(host):
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None)
        except OSError:
            return
        for address in {str(each[4][0]) for each in found}:
            self._check_ip(address)

    def _named(self, host: str) -> bool:
        """Say whether the settings name a host, as opposed to a network it may lie in."""
        names = [each.lower() for each in self.hosts if _network(each) is None]
        return any(host == name or (name.startswith(".") and host.endswith(name)) for name in names)

    def _check_ip(self, host: str) -> None:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            if self.hosts and not _networks(self.hosts):
                _refuse("地址不在允许的主机之列", "the host is not one of the allowed ones")
            return
        address = getattr(address, "ipv4_mapped", None) or address
        if self.hosts:
            if not any(address in network for network in _networks(self.hosts)):
                _refuse("地址不在允许的主机之列", "the host is not one of the allowed ones")
        elif _nobodys(address) or (self.production and not address.is_global):
            _refuse("不能推送到内部或本机地址", "an internal address")


async def post(
    outbound: Outbound,
    webhook: Webhook,
    *,
    message_id: int,
    body: bytes,
    content_type: str = JSON,
    before: Webhook | None = None,
) -> int:
    """POST one message, signed with the caller's own secret, and return the status by which it was taken.

    ``before`` holds the secret that was rotated out and still counts: a second signature by it goes along in
    ``YMT-Authorization-Before``, so that a receiver which has not changed its key yet recognises the platform.

    Raises:
        WebhookNotTaken: any answer but 2xx. PartyUnreachable, PartyOutcomeUnknown: no answer.
    """
    parts = urlsplit(webhook.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timestamp, nonce, key = int(clock.now().timestamp()), secrets.token_hex(16), f"msg-{message_id}"
    signed = request_auth.request_text(
        method="POST", target=target, timestamp=timestamp, nonce=nonce, bound=key, body=body
    )

    def signature(by: Webhook) -> str:
        return request_auth.header(
            caller_id=by.caller_id,
            timestamp=timestamp,
            nonce=nonce,
            signature=request_auth.sign(bytes.fromhex(str.__str__(by.secret)), signed),
        )

    headers = {"content-type": content_type, "idempotency-key": key, "authorization": signature(webhook)}
    if before is not None:
        headers["ymt-authorization-before"] = signature(before)
    answer = await outbound.send("webhook", "POST", webhook.url, body=body, headers=headers)
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise WebhookNotTaken(status=answer.status)
    return answer.status


def _host(url: str, *, production: bool) -> str:
    """Return the host of an address of the right form."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        _refuse("不是有效的地址", "not an address")
    if len(url) > _URL_LENGTH or not url.isascii() or any(each <= " " for each in url) or not host:
        _refuse("不是有效的地址", "not an address")
    if parts.scheme != "https" and (production or parts.scheme != "http"):
        _refuse("须使用 https", "https is needed")
    if parts.username is not None or parts.password is not None or parts.fragment:
        _refuse("地址不能含用户名、口令或片段", "no user, password or fragment in the address")
    return host.lower().rstrip(".")


def _nobodys(address: IPv4Address | IPv6Address) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _networks(hosts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    return [network for each in hosts if (network := _network(each)) is not None]


def _refuse(zh: str, en: str) -> NoReturn:
    raise WebhookAddressRefused(reason_zh=zh, reason_en=en)
