"""A business day against the simulated WeChat Pay: orders, refunds, bills with planted differences."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys

import msgspec
import pytest

from yimatong.access.caller import PLATFORM, Caller, Scope
from yimatong.kit import clock
from yimatong.kit.clock import business_date
from yimatong.kit.settings import Settings
from yimatong.payments import asking, returning
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item, NewOrder
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund
from yimatong.reconciliation import queries, service
from yimatong.reconciliation.errors import AccountUnknown, DayInFuture, DiscrepancyNotFound

ACCOUNT = "wechat-hospital-1"
HIS = Caller(caller_id="his-1", kind="institution", name="HIS", institution_id="hospital-1")
KINDS = ["amount", "fee", "status", "duplicate", "platform_only", "channel_only", "refund_amount"]
CLASS_OF = {"refund_amount": "amount"}


async def pay(desk, world, amount_fen: int) -> str:
    new = NewOrder(
        source_no=secrets.token_hex(8),
        description="门诊,缴费",
        items=[Item(name="西药费", amount_fen=amount_fen)],
        amount_fen=amount_fen,
        expires_in_s=1800,
    )
    async with desk.db.transaction() as connection:
        placed = await orders.place(connection, new, desk=desk, caller=HIS, now=clock.now())
    native = NewAttempt(channel="wechat", scene=Scene.NATIVE)
    begun = await cashier.start_attempt(desk, placed.order_no, native, now=clock.now())
    await asyncio.to_thread(world.control, "/control/wechat/pay", {"out_trade_no": begun.attempt_no})
    await asking.ask_attempt(desk, begun.attempt_no, now=clock.now())
    return placed.order_no


async def give_back(desk, world, order_no: str, amount_fen: int) -> None:
    new = NewRefund(order_no=order_no, request_no=secrets.token_hex(8), amount_fen=amount_fen, reason="退费")
    async with desk.db.transaction() as connection:
        asked = await refunds.ask(connection, new, caller=HIS, now=clock.now())
    await returning.ask_refund(desk, asked.refund_no, now=clock.now())
    arrived = {"mchid": "1900000109", "out_refund_no": asked.refund_no, "status": "SUCCESS"}
    await asyncio.to_thread(world.control, "/control/wechat/settle-refund", arrived)
    await returning.ask_refund(desk, asked.refund_no, now=clock.now())


@pytest.fixture(scope="module")
async def day(desk, world):
    """Today, with eighteen payments and four refunds in it."""
    placed = [await pay(desk, world, 1000 + each) for each in range(18)]
    for order_no in placed[:4]:
        await give_back(desk, world, order_no, 300)
    return business_date(clock.now())


@pytest.fixture
def close(world, day):
    def call(*, kinds=(), seed=7):
        return world.control(
            "/control/wechat/close-day",
            {"date": day.isoformat(), "seed": seed, "kinds": list(kinds), "count": 1, "mchid": "1900000109"},
        )

    return call


@pytest.fixture
def reconcile(desk, day, tmp_path):
    async def call(account_id=ACCOUNT, when=None):
        return await service.run_day(
            desk.db,
            desk.vault,
            desk.channels,
            day=when or day,
            data=tmp_path,
            now=clock.now(),
            account_id=account_id,
        )

    return call


async def everything(desk):
    async with desk.db.read() as connection:
        found = await queries.page(connection, scope=PLATFORM, limit=200)
    return {(each.kind, each.movement, each.number): each for each in found.discrepancies}


def planted_keys(closed):
    return {
        (
            CLASS_OF.get(each["kind"], each["kind"]),
            "refund" if each["out_refund_no"] else "payment",
            each["out_refund_no"] or each["out_trade_no"],
        )
        for each in closed["planted"]
    }


async def test_every_planted_difference_is_found_and_worked_off(desk, close, reconcile):
    closed = close(kinds=KINDS)
    assert closed["short"] == {}
    result = await reconcile()
    (account,) = result.accounts
    assert (account.state, account.read_fast, account.version) == ("done", True, 1)
    assert {(each.klass, each.kind, each.number) for each in account.differences} == planted_keys(closed)
    assert account.matched_rows == 22 - 5
    assert {key: each.state for key, each in (await everything(desk)).items()} == dict.fromkeys(
        planted_keys(closed), "open"
    )

    (again,) = (await reconcile()).accounts
    assert (again.version, again.tallies, again.findings) == (2, account.tallies, account.findings)
    assert {each.state for each in (await everything(desk)).values()} == {"open"}

    close()
    (clean,) = (await reconcile()).accounts
    assert (clean.differences, clean.matched_rows) == ([], 22)
    assert {each.state for each in (await everything(desk)).values()} == {"verified"}

    assert planted_keys(close(kinds=KINDS)) == planted_keys(closed)
    await reconcile()
    assert {each.state for each in (await everything(desk)).values()} == {"open"}
    async with desk.db.read() as connection:
        (total,) = [t for t in await queries.totals(connection, scope=PLATFORM) if t.kind == "platform_only"]
    assert (total.count, total.difference_fen < 0 or total.difference_fen == 300) == (1, True)


async def test_another_institution_sees_nothing(desk, day, close, reconcile):
    close(kinds=["amount"])
    await reconcile()
    own, other = Scope(institution_id="hospital-1"), Scope(institution_id="hospital-2")
    async with desk.db.read() as connection:
        first = await queries.page(connection, scope=own, limit=1)
        rest = await queries.page(connection, scope=own, limit=200, cursor=first.next)
        assert first.next
        assert first.discrepancies[0].discrepancy_id not in {each.discrepancy_id for each in rest.discrepancies}
        assert (await queries.page(connection, scope=own, kind="amount", state="unsettled")).discrepancies
        assert (await queries.page(connection, scope=other)).discrepancies == []
        assert await queries.totals(connection, scope=other) == []
        assert len(await queries.runs(connection, scope=own, first=day, last=day)) == 1
        assert await queries.runs(connection, scope=Scope(institution_id="hospital-3"), first=day, last=day) == []
        with pytest.raises(DiscrepancyNotFound):
            await queries.find(connection, first.discrepancies[0].discrepancy_id, scope=other)


async def test_the_bill_is_kept_sealed_under_its_digest(desk, close, reconcile, tmp_path):
    close()
    (account,) = (await reconcile()).accounts
    (path,) = (tmp_path / "bills" / "wechat" / ACCOUNT).iterdir()
    assert account.bill_sha256 in path.name
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"oSim" not in path.read_bytes()
    assert service.open_bill(path, await desk.vault.sealer("bills")).startswith("交易时间".encode())


async def test_one_account_s_failure_does_not_stop_the_others(desk, day, close, reconcile):
    close()
    result = await reconcile(account_id=None)
    assert [(each.account_id, each.state) for each in result.accounts] == [
        (ACCOUNT, "done"),
        ("wechat-hospital-2", "failed"),
    ]
    assert [each.error.code for each in result.failed] == ["PAY-3004"]
    async with desk.db.read() as connection:
        runs = await queries.runs(connection, scope=PLATFORM, first=day, last=day)
    assert [(each.state, each.cause) for each in runs] == [("done", ""), ("failed", "PAY-3004")]


async def test_days_and_accounts_that_cannot_be(day, reconcile):
    with pytest.raises(DayInFuture):
        await reconcile(when=day.replace(year=day.year + 1))
    with pytest.raises(AccountUnknown):
        await reconcile(account_id="nobody")
    (empty,) = (await reconcile(when=day.replace(year=day.year - 1))).accounts
    assert (empty.state, empty.findings) == ("empty", [])


@pytest.fixture
def settings_path(world, keystore, database_url, tmp_path):
    values = {
        "data": str(tmp_path),
        "database_url": database_url,
        "keystore": str(keystore),
        "keystore_passphrase": "a passphrase of the tests",
        "wechat_base_url": world.url,
    }
    for field in msgspec.structs.fields(Settings):
        if field.required and field.name not in values:
            values[field.name] = "0" * 64
    path = tmp_path / "settings.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return path


def test_the_command(desk, day, close, settings_path):
    closed = close(kinds=KINDS)

    def ymt(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "yimatong.cli.main", "reconcile", *arguments],
            env={**os.environ, "YMT_SETTINGS": str(settings_path), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    shown = ymt(day.isoformat(), "--account", ACCOUNT)
    assert shown.returncode == 0, shown.stderr
    assert all(number in shown.stdout for _, _, number in planted_keys(closed))
    assert "相符 matched" in shown.stdout
    printed = ymt(day.isoformat(), "--account", ACCOUNT, "--json")
    assert printed.returncode == 0
    document = json.loads(printed.stdout)
    assert len(document["accounts"][0]["findings"]) == len(KINDS)
    for wrong in (["2026-13-40"], ["2999-01-01"], [day.isoformat(), "--account", "nobody"], [day.isoformat()]):
        refused = ymt(*wrong)
        assert refused.returncode == 1
        assert refused.stderr.strip().startswith("错误：")
        assert len(refused.stderr.strip().splitlines()) == 1
