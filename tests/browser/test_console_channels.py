"""Payment channels, service channels and parked messages in a real browser: empty, many rows, long names."""

from __future__ import annotations

import math
import secrets
from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import insert, update

from yimatong.access import callers
from yimatong.access.callers import Institution
from yimatong.access.webhooks import Destinations
from yimatong.kit import clock, outbox
from yimatong.kit.masking import Secret
from yimatong.kit.models import outbox as outbox_table
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.models import channel_health, delivery, health_minute
from yimatong.payments.service_channels import service
from yimatong.payments.service_channels.schemas import NewServiceChannel, Terminal
from yimatong.payments.service_channels.service import By

SIZES = {
    "1440": {"width": 1440, "height": 900},
    "390": {"width": 390, "height": 844},
    "320": {"width": 320, "height": 640},
}
LONG = "陕西省延安市宝塔区枣园街道办事处裴庄社区卫生服务中心（延安大学附属医院托管）住院部第二分部"
CHANNELS = ("wechat", "alipay", "unionpay", "netbank", "credit")


async def hospital(tx, parts, number, now):
    """Enter a hospital with one merchant account and return its id, channel and account."""
    own, channel = f"many-{number:02d}", CHANNELS[number % 5]
    account_id = f"{channel}-{own}-with-a-long-account-number"
    name = LONG if number % 7 == 0 else f"第 {number} 人民医院"
    await callers.add_institution(
        tx,
        Institution(institution_id=own, name=name, kind="hospital", org_code=f"9{number:07d}X", region_code="610100"),
        now=now,
    )
    account = ChannelAccount(
        account_id=account_id,
        institution_id=own,
        channel=channel,
        merchant_id=f"19000{number:05d}",
        app_id="wx0000000000000001",
        secrets={"secret_hex": Secret("ab" * 32)},
        profile={"gateway": "https://b2c.bank.example.com/servlet/ICBCINBSEBusinessServlet"},
    )
    await accounts.put_account(tx, parts.vault, account, now=now)
    return channel, account_id


def hour(number, channel, account_id, now):
    """Yield an hour of counts; those of hospital 1 fell silent."""
    whole = now.replace(second=0, microsecond=0)
    for back in range(60):
        sick, volume = number == 1 and back < 6, int(20 + 18 * math.sin((back + number) / 9))
        yield {
            "account_id": account_id,
            "minute": whole - timedelta(minutes=back),
            "verb": "start",
            "channel": channel,
            "ok": 0 if sick else volume,
            "refused": back % 3,
            "silent": volume if sick else back % 2,
            "ms_sum": 180 * volume,
            "ms_max": 400 + 30 * (back % 17),
        }


async def kiosk(tx, parts, number, now):
    terminals = [
        Terminal(terminal_no=f"K{each:02d}", name=LONG[:40] if each == 1 else "大厅", proof=each == 2)
        for each in range(1, 2 + number % 12)
    ]
    new = NewServiceChannel(
        kind="kiosk" if number % 2 else "his_window",
        name=LONG if number % 9 == 0 else f"门诊 {number} 区自助机",
        caller_id="his-1",
        institution_id="inst-h1",
        terminals=terminals,
        channels=list(CHANNELS) if number % 3 == 0 else [],
        notify_url="https://" + "very-long-name." * 12 + "example.com/told/of/payments",
    )
    await service.register(
        tx,
        parts.vault,
        new,
        destinations=Destinations(production=False),
        known=parts.channels,
        by=By(actor="test", request_id="r", now=now),
    )


async def parked(tx, number, now):
    message = await outbox.write(
        tx,
        topic="payments.service_told" if number % 2 else "payments.order_paid",
        ordering_key=secrets.token_hex(8),
        payload={
            "order_no": f"P20261123{number:012d}",
            "institution_id": f"many-{number % 60:02d}",
            "event": ("order_paid", "order_closed", "refund_succeeded")[number % 3],
        },
        now=now - timedelta(days=2),
    )
    await tx.execute(
        update(outbox_table)
        .where(outbox_table.c.id == message)
        .values(state="parked", attempts=19, last_error="ACC-4001")
    )


@pytest.fixture(scope="module")
def many(stage, run_async):
    """Sixty hospitals with accounts, an hour of answers, one sick channel; service channels; parked messages."""

    async def fill(tx, parts):
        now, minutes, known = clock.now(), [], {}
        for number in range(60):
            channel, known[number] = await hospital(tx, parts, number, now)
            minutes += hour(number, channel, known[number], now)
        await tx.execute(insert(health_minute), minutes)
        for number, mood, try_at, pin in (
            (1, "sick", now + timedelta(hours=1), ""),
            (2, "trying", None, ""),
            (3, "well", None, "hidden"),
        ):
            await tx.execute(
                insert(channel_health).values(
                    account_id=known[number], mood=mood, since=now, updated_at=now, pause_s=60, try_at=try_at, pin=pin
                )
            )
        for number in range(40):
            await kiosk(tx, parts, number, now)
        for number in range(70):
            await parked(tx, number, now)

    run_async(stage.act(fill))


def look(page, path, shoot, name, *, axe=True):
    page.goto(path)
    shoot(page, name, axe=axe)


@pytest.mark.parametrize("path", ["channels?show=off", "service-channels?state=off", "parked?institution=nowhere"])
def test_nothing_to_show(open_page, log_in, shoot, path):
    page = open_page(SIZES["390"])
    log_in(page, "system")
    look(page, f"/console/{path}", shoot, f"console-empty-{path.split('?')[0]}")
    expect(page.locator(".empty")).to_be_visible()


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_many_rows_and_long_names(open_page, log_in, shoot, many, name, language):  # noqa: PLR0917 -- fixtures
    page = open_page(SIZES[name], language=language)
    log_in(page, "system")
    axe = name != "320"
    look(page, "/console/channels", shoot, f"console-channels-{name}-{language}", axe=axe)
    expect(page.locator("[data-account]")).to_have_count(50)
    page.locator("a[rel=next]").click()
    expect(page.locator("[data-account]")).to_have_count(11)
    page.goto("/console/channels?show=hidden")
    expect(page.locator("[data-account]")).to_have_count(2)
    page.locator("[data-account] a").first.click()
    expect(page.locator("#keys-h")).to_be_visible()
    shoot(page, f"console-channel-{name}-{language}", axe=axe)
    look(page, "/console/service-channels", shoot, f"console-services-{name}-{language}", axe=axe)
    page.locator("tbody a").first.click()
    expect(page.locator("#v-url")).to_be_visible()
    shoot(page, f"console-service-{name}-{language}", axe=axe)
    look(page, "/console/parked", shoot, f"console-parked-{name}-{language}", axe=axe)
    expect(page.locator("tbody tr")).to_have_count(50)


def test_two_people_and_a_file(open_page, log_in, shoot, many, tmp_path):
    file = tmp_path / "account.toml"
    file.write_text(
        'account_id = "credit-many-07"\ninstitution_id = "many-07"\nchannel = "credit"\nmerchant_id = "C7"\n'
        f'[secrets]\nsecret_hex = "{"cd" * 32}"\n'
    )
    page = open_page(SIZES["1440"])
    log_in(page, "system")
    page.goto("/console/channels?institution=many-07")
    page.locator("#n-reason").fill("新开通信用支付：依据《商户接入审批单》2026 年第 118 号，" + LONG)
    page.locator("#n-file").set_input_files(file)
    page.locator("form[enctype] button").click()
    proposal = page.locator("[data-proposal]")
    expect(proposal).to_have_count(1)
    expect(proposal.locator("form")).to_have_count(0)
    shoot(page, "console-channels-proposed")
    other = open_page(SIZES["390"])
    log_in(other, "security")
    other.goto("/console/channels?institution=many-07")
    shoot(other, "console-channels-decide-390")
    other.locator("[data-proposal] form[action$='/approve'] button").click()
    expect(other.locator("[data-proposal]")).to_have_count(0)
    other.goto("/console/channels/credit-many-07")
    expect(other.locator("#keys-h")).to_be_visible()
    assert "cdcdcd" not in other.content()


def test_an_orders_tries(open_page, log_in, shoot, stage, run_async):
    order_no = run_async(stage.bill())

    async def tell(tx, _parts):
        for topic, state, statuses in (
            ("payments.order_paid", "delivered", (200,)),
            ("payments.service_told", "parked", (503, 0, 0, 500, 503)),
        ):
            message = await outbox.write(
                tx,
                topic=topic,
                ordering_key=secrets.token_hex(8),
                payload={"order_no": order_no, "institution_id": "inst-h1", "event": "order_paid"},
                now=clock.now(),
            )
            await tx.execute(update(outbox_table).where(outbox_table.c.id == message).values(state=state))
            for number, status in enumerate(statuses, start=1):
                await tx.execute(
                    insert(delivery).values(
                        order_no=order_no, message_id=message, attempt=number, topic=topic, receiver="his-1",
                        status=status, cause="" if status == 200 else "ACC-4001" if status else "KIT-5003",
                        took_ms=1234, at=clock.now(),
                    )
                )  # fmt: skip

    run_async(stage.act(tell))
    page = open_page(SIZES["390"])
    log_in(page, "clerk")
    page.goto(f"/console/payments/{order_no}")
    page.locator("#told details").last.locator("summary").click()
    shoot(page, "console-order-told-390")
    page.locator("#told form button").click()
    expect(page.locator("#told form")).to_have_count(0)
