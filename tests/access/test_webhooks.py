"""Nobody makes the platform call itself or its own network."""

from __future__ import annotations

import pytest

from yimatong.access.errors import WebhookAddressRefused
from yimatong.access.webhooks import Destinations

PRODUCTION = Destinations(production=True)
DEMONSTRATION = Destinations(production=False)
LISTED = Destinations(production=True, hosts=("his.example", ".hospital.example", "10.20.0.0/16"))


@pytest.mark.parametrize(
    "url",
    [
        "http://his.example.com/news",
        "ftp://his.example.com/",
        "https://",
        "https://user:secret@his.example.com/",
        "https://his.example.com/#x",
        "https://his.example.com:99999/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://0.0.0.0/",
        "https://his.example.com/\r\nx",
        "https://his.example.com/ä",
        "not an address",
    ],
)
def test_refused_in_production(url: str) -> None:
    with pytest.raises(WebhookAddressRefused):
        PRODUCTION.check(url)


@pytest.mark.parametrize("url", ["https://his.example.com/news?x=1", "https://8.8.8.8:8443/"])
def test_taken_in_production(url: str) -> None:
    PRODUCTION.check(url)


def test_a_list_of_hosts_is_the_only_way() -> None:
    for url in ("https://his.example/", "https://a.hospital.example/", "https://10.20.3.4/", "https://HIS.example./x"):
        LISTED.check(url)
    for url in ("https://10.21.0.1/", "https://8.8.8.8/", "https://hospital.example.evil.com.:bad/"):
        with pytest.raises(WebhookAddressRefused):
            LISTED.check(url)
    with pytest.raises(WebhookAddressRefused):
        Destinations(production=True, hosts=("his.example",)).check("https://other.example/")


async def test_a_name_is_looked_at_when_it_is_called() -> None:
    PRODUCTION.check("https://localhost/")  # nothing is looked up while a request is answered
    with pytest.raises(WebhookAddressRefused):
        await PRODUCTION.check_now("https://localhost/")
    with pytest.raises(WebhookAddressRefused):
        await LISTED.check_now("https://localhost/")


async def test_the_demonstration_may_call_its_own_machine_but_no_metadata() -> None:
    await DEMONSTRATION.check_now("http://127.0.0.1:8490/his")
    with pytest.raises(WebhookAddressRefused):
        DEMONSTRATION.check("http://169.254.169.254/")
