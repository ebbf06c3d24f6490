"""Payment channels, service channels and parked messages in the console: who sees what, two people, nothing secret."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from yimatong.access.webhooks import Destinations
from yimatong.kit import clock, outbox
from yimatong.kit.models import audit_event
from yimatong.kit.models import outbox as outbox_table
from yimatong.payments.models import account_change, channel_account, channel_health, delivery, health_minute
from yimatong.payments.service_channels import service
from yimatong.payments.service_channels.schemas import NewServiceChannel, Terminal
from yimatong.payments.service_channels.service import By

HOSPITAL, VILLAGE = "inst-h1", "inst-v1"
PAGES = {
    "/console/channels": {"clerk", "hospital", "system", "security"},
    "/console/service-channels": {"clerk", "hospital", "system", "security"},
    "/console/parked": {"clerk", "hospital", "system"},
}
SECRET = "k3y-that-nobody-must-see-0123456"
FILE = (
    'account_id = "credit-v1"\ninstitution_id = "inst-v1"\nchannel = "credit"\nmerchant_id = "C1"\n'
    f'[secrets]\nsecret_hex = "{SECRET}"\n'
)


def rows(stage, run_async, query):
    async def verb(tx, _parts):
        return (await tx.execute(query)).all()

    return run_async(stage.act(verb))


def put(stage, run_async, *statements):
    async def verb(tx, _parts):
        for each in statements:
            await tx.execute(each)

    run_async(stage.act(verb))


@pytest.fixture(scope="module")
def registered(stage, run_async):
    """A kiosk of the hospital."""

    async def verb(tx, parts):
        return await service.register(
            tx,
            parts.vault,
            NewServiceChannel(
                kind="kiosk",
                name="门诊一楼自助机",
                caller_id="his-1",
                institution_id=HOSPITAL,
                terminals=[Terminal(terminal_no="K01", name="大厅", proof=True)],
                notify_url="https://kiosk.example.com/told",
            ),
            destinations=Destinations(production=False),
            known=parts.channels,
            by=By(actor="test", request_id="r", now=clock.now()),
        )

    return run_async(stage.act(verb))


@pytest.fixture
def propose(visitor):
    def send(text=FILE, reason="换钥"):
        return visitor.post(
            "/console/channels",
            data={"form_token": visitor.token, "reason": reason},
            files={"file": ("account.toml", text.encode())},
        )

    return send


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("login", ["clerk", "hospital", "system", "security", "auditor", "steward", "custodian1"])
def test_a_page_is_seen_by_its_roles_alone(visitor, path, login):
    visitor.log_in(login)
    assert visitor.get(path).status_code == (200 if login in PAGES[path] else 403)


def test_only_administrators_of_the_province_change_anything(visitor, registered, propose):
    for login in ("clerk", "hospital", "security"):
        visitor.log_in(login)
        assert '<form class="filters mb-0"' not in visitor.look("/console/channels").text
        assert propose().status_code == 403
        assert visitor.submit("/console/channels/acc-h1/pin", word="hidden").status_code == 403
        assert visitor.submit("/console/channels/acc-h1/switch", state="off", reason="x").status_code == 403
        path = f"/console/service-channels/{registered.service_channel_id}"
        assert visitor.submit(path, state="off").status_code == 403


def test_a_new_account_takes_two_people_and_shows_no_secret(visitor, stage, run_async, propose):
    visitor.log_in("system")
    visitor.look("/console/channels")
    assert propose().status_code == 303
    shown = visitor.look("/console/channels").text
    (proposal,) = re.findall(r'data-proposal="(\w+)"', shown)
    assert "secret_hex" in shown
    assert SECRET not in shown
    own = visitor.submit(f"/console/channels/proposals/{proposal}/approve")
    assert own.status_code in {403, 409}
    assert SECRET not in own.text
    assert rows(stage, run_async, select(channel_account).where(channel_account.c.account_id == "credit-v1")) == []
    kept = rows(stage, run_async, select(account_change))
    assert SECRET.encode() not in bytes(kept[0].secrets_sealed)
    visitor.log_in("security")
    assert visitor.submit(f"/console/channels/proposals/{proposal}/approve").status_code == 303
    account = visitor.look("/console/channels/credit-v1")
    assert "secret_hex" in account.text
    assert SECRET not in account.text
    assert rows(stage, run_async, select(account_change)) == []
    again = visitor.submit(f"/console/channels/proposals/{proposal}/approve")
    assert again.status_code == 409
    told = rows(stage, run_async, select(audit_event).where(audit_event.c.object_id == "credit-v1"))
    assert {row.action for row in told} == {f"channel-accounts:{verb}" for verb in ("propose", "put", "approve")}
    assert SECRET not in str(told)


def test_a_proposal_that_was_overtaken_is_refused(visitor, stage, run_async, propose):
    visitor.log_in("system")
    visitor.look("/console/channels")
    text = 'account_id = "acc-h1"\nmerchant_id = "1900000999"\n'
    assert propose(text).status_code == 303
    (proposal,) = re.findall(r'data-proposal="(\w+)"', visitor.look("/console/channels").text)
    other = update(channel_account).where(channel_account.c.account_id == "acc-h1").values(app_id="wx-other")
    put(stage, run_async, other)
    visitor.log_in("security")
    refused = visitor.submit(f"/console/channels/proposals/{proposal}/approve")
    assert refused.status_code == 409
    assert "PAY-4209" in refused.text
    (row,) = rows(stage, run_async, select(channel_account).where(channel_account.c.account_id == "acc-h1"))
    assert (row.merchant_id, row.app_id) == ("1900000109", "wx-other")
    assert visitor.submit(f"/console/channels/proposals/{proposal}/reject").status_code == 303
    assert "data-proposal" not in visitor.look("/console/channels").text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "PAY-4208"),
        ('account_id = "acc-h1"\nchannel = "alipay"\n', "PAY-4208"),
        (FILE.replace("credit-v1", "x/y"), "PAY-4208"),
        ("{", "PAY-4208"),
        (FILE.replace("secret_hex", "private_key_pem"), "private_key_pem"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(visitor, propose, text, said):
    visitor.log_in("system")
    visitor.look("/console/channels")
    answer = propose(text)
    assert answer.status_code == 422
    assert said in answer.text
    assert SECRET not in answer.text


def test_a_switch_takes_two_people(visitor, stage, run_async):
    visitor.log_in("system")
    visitor.look("/console/channels/acc-h1")
    assert visitor.submit("/console/channels/acc-h1/switch", state="off", reason="").status_code == 422
    assert visitor.submit("/console/channels/acc-h1/switch", state="off", reason="渠道维护").status_code == 303
    state = select(channel_account.c.state).where(channel_account.c.account_id == "acc-h1")
    assert rows(stage, run_async, state) == [("active",)]
    (proposal,) = re.findall(r'data-proposal="(\w+)"', visitor.look("/console/channels").text)
    visitor.log_in("security")
    assert visitor.submit(f"/console/channels/proposals/{proposal}/approve").status_code == 303
    assert rows(stage, run_async, state) == [("off",)]
    put(stage, run_async, update(channel_account).values(state="active"))


def test_an_hour_of_answers_is_drawn_and_a_pin_counts(visitor, stage, run_async):
    now = clock.now().replace(second=0, microsecond=0)
    put(
        stage,
        run_async,
        insert(health_minute).values(
            account_id="acc-h1", minute=now - timedelta(minutes=1), verb="start", channel="wechat",
            ok=7, refused=1, silent=2, ms_sum=1500, ms_max=900,
        ),
        insert(channel_health).values(
            account_id="acc-h1", mood="sick", since=now, pause_s=30, try_at=now + timedelta(days=1), updated_at=now
        ),
    )  # fmt: skip
    visitor.log_in("system")
    shown = visitor.look("/console/channels?show=hidden").text
    row = shown.split('data-account="acc-h1"')[1].split("</tr>")[0]
    assert "80.0%" in row
    assert "150" in row
    assert "收银台已隐藏" in row
    assert row.count("<rect") == 4
    assert visitor.submit("/console/channels/acc-h1/pin", word="shown").status_code == 303
    assert 'data-account="acc-h1"' not in visitor.look("/console/channels?show=hidden").text
    assert "人工显示" in visitor.look("/console/channels/acc-h1").text
    assert visitor.submit("/console/channels/acc-h1/pin", word="maybe").status_code == 422
    assert visitor.submit("/console/channels/nobody/pin", word="hidden").status_code == 404


def test_an_institution_sees_its_own_channels_alone(visitor, registered, stage, run_async):
    put(
        stage,
        run_async,
        insert(channel_account).values(
            account_id="wechat-v1", institution_id=VILLAGE, channel="wechat", merchant_id="9", app_id="a",
            secrets_sealed=b"", created_at=clock.now(),
        ),
    )  # fmt: skip
    visitor.log_in("hospital")
    listed = visitor.look("/console/channels?institution=inst-v1").text
    assert "wechat-v1" not in listed
    assert visitor.get("/console/channels/wechat-v1").status_code == 404
    assert registered.service_channel_id in visitor.look("/console/service-channels").text
    assert visitor.get(f"/console/service-channels/{registered.service_channel_id}").status_code == 200


def test_a_service_channel_is_changed_and_switched(visitor, registered, stage):
    path = f"/console/service-channels/{registered.service_channel_id}"
    visitor.log_in("system")
    shown = visitor.look(path).text
    assert registered.key not in shown
    assert registered.terminal_keys["K01"] not in shown
    good = {"name": "门诊自助机（新）", "notify_url": "https://kiosk.example.com/new", "channels": "wechat"}
    assert visitor.submit(path, **good).status_code == 303
    assert "门诊自助机（新）" in visitor.look(path).text
    bad = visitor.submit(path, **(good | {"notify_url": "http://169.254.169.254/"}))
    assert bad.status_code == 422
    assert "169.254.169.254" in bad.text
    unknown = visitor.submit(path, **(good | {"channels": "barter"}))
    assert unknown.status_code == 422
    assert visitor.submit(path, state="off").status_code == 303
    assert registered.service_channel_id in visitor.look("/console/service-channels?state=off").text
    assert visitor.submit(path, state="active").status_code == 303


@pytest.fixture
def park(stage, run_async):
    def put_up(order_no, institution_id, topic="payments.order_paid"):
        async def verb(tx, _parts):
            payload = {"order_no": order_no, "institution_id": institution_id, "event": "order_paid"}
            number = await outbox.write(
                tx, topic=topic, ordering_key=secrets.token_hex(8), payload=payload, now=clock.now()
            )
            await tx.execute(
                update(outbox_table)
                .where(outbox_table.c.id == number)
                .values(state="parked", attempts=19, last_error="ACC-4001")
            )
            await tx.execute(
                insert(delivery).values(
                    order_no=order_no, message_id=number, attempt=1, topic=topic, receiver="his-1", status=503,
                    cause="ACC-4001", took_ms=12, at=clock.now(),
                )
            )  # fmt: skip
            return number

        return run_async(stage.act(verb))

    return put_up


def test_parked_messages_are_listed_by_institution_and_replayed_with_an_audit_row(visitor, stage, run_async, park):
    order_no = run_async(stage.bill())
    own, foreign = park(order_no, HOSPITAL), park("P20260101000000000009", VILLAGE)
    visitor.log_in("hospital")
    listed = visitor.look("/console/parked").text
    assert f'value="{own}"' in listed
    assert f'value="{foreign}"' not in listed
    assert "ACC-4001" in listed
    refused = visitor.submit("/console/parked", message=str(foreign), order_no="P20260101000000000009")
    assert refused.status_code == 404
    assert visitor.submit("/console/parked", message=str(own), order_no=order_no).status_code == 303
    state = select(outbox_table.c.state, outbox_table.c.attempts).where(outbox_table.c.id == own)
    assert rows(stage, run_async, state) == [("pending", 0)]
    told = select(audit_event).where(audit_event.c.action == "outbox:replay", audit_event.c.object_id == str(own))
    assert len(rows(stage, run_async, told)) == 1
    again = visitor.submit("/console/parked", message=str(own), order_no=order_no)
    assert again.status_code == 409
    visitor.log_in("system")
    assert f'value="{foreign}"' in visitor.look(f"/console/parked?institution={VILLAGE}").text
    assert visitor.submit("/console/parked", message=str(foreign), order_no="").status_code == 303


def test_an_orders_page_shows_its_tries_and_replays(visitor, stage, run_async, park):
    order_no = run_async(stage.bill())
    message = park(order_no, HOSPITAL)
    visitor.log_in("clerk")
    shown = visitor.look(f"/console/payments/{order_no}").text
    assert "HTTP 503" in shown
    assert "医院信息系统" in shown
    assert visitor.submit(f"/console/payments/{order_no}/deliveries/{message}/replay").status_code == 303
    assert visitor.submit(f"/console/payments/{order_no}/deliveries/{message}/replay").status_code == 409
    other = park("P20260101000000000009", HOSPITAL)
    assert visitor.submit(f"/console/payments/{order_no}/deliveries/{other}/replay").status_code == 409
