"""Reconciliation files: downloaded, unpacked, read by bytes; the cut-off; what is no such file."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from datetime import date, datetime, timedelta

import pytest
from unionpay_books import placed, refund_of

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments.channels.base import BillKind, Scene
from yimatong.payments.channels.unionpay import files
from yimatong.payments.errors import BillBroken, BillNotReady

NAME = "INN26113088ZM_777290058110048"


def settle_day() -> date:
    return (clock.now().astimezone(BEIJING) + timedelta(hours=1)).date()


def packed(content: bytes, name: str = NAME, *more: tuple[str, bytes]) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
        for other, text in more:
            file.writestr(other, text)
    return base64.b64encode(zlib.compress(archive.getvalue())).decode()


async def test_the_file_of_a_day_with_payments_and_refunds(channel, account, intent, post):
    with pytest.raises(BillNotReady):
        await channel.bill(account, settle_day(), now=clock.now())
    await post("conditions", {"refund_settles_s": 0})
    wanted = intent("BILL000001", 10000)
    await channel.start(account, wanted, now=clock.now())
    await post("pay", {"order_id": "BILL000001"})
    paid = await channel.query(account, placed(wanted), now=clock.now())
    back = refund_of(placed(wanted, paid.channel_trade_no), "BILL000001R1", 2500)
    await channel.refund(account, back, now=clock.now())
    refunded = await channel.query_refund(account, back, now=clock.now())
    await post("close-day", {"date": settle_day().isoformat(), "kinds": []})
    found = await channel.bill(account, settle_day(), now=clock.now())
    rows = {row["商户订单号"]: row for row in map(files.fields_of, files.records_of(found))}
    assert {len(record) for record in files.records_of(found)} == {607}
    payment, refund = rows["BILL000001"], rows["BILL000001R1"]
    assert (payment["查询流水号"], payment["交易类型"], payment["交易金额"]) == (
        paid.channel_trade_no,
        "01",
        "000000010000",
    )
    assert files.signed_fen(payment["商户手续费"]) == -60
    assert files.signed_fen(payment["清算净额"]) == 9940
    assert payment["交易传输时间"] == f"{paid.paid_at.astimezone(BEIJING):%m%d%H%M%S}"
    assert (refund["查询流水号"], refund["原交易查询流水号"], refund["交易类型"]) == (
        refunded.channel_refund_no,
        paid.channel_trade_no,
        "04",
    )
    assert files.signed_fen(refund["清算净额"]) == -2485
    with pytest.raises(BillNotReady):
        await channel.bill(account, settle_day(), kind=BillKind.FUNDS, now=clock.now())


async def test_planted_differences_are_in_the_file(channel, account, intent, post):
    for number in range(5):
        wanted = intent(f"PLANT{number:05d}", 1000 + number, scene=Scene.APP)
        await channel.start(account, wanted, now=clock.now())
        await post("pay", {"order_id": wanted.attempt_no})
    closed = await post("close-day", {"date": settle_day().isoformat(), "seed": 3})
    by_kind = {each["kind"]: each for each in closed["planted"]}
    assert set(by_kind) == {"amount", "channel_only", "platform_only", "fee", "duplicate"}
    found = await channel.bill(account, settle_day(), now=clock.now())
    numbers = [files.fields_of(record)["查询流水号"] for record in files.records_of(found)]
    assert by_kind["platform_only"]["query_id"] not in numbers
    assert by_kind["channel_only"]["query_id"] in numbers
    assert numbers.count(by_kind["duplicate"]["query_id"]) == 2


async def test_after_23_00_a_payment_belongs_to_the_next_day(channel, account, intent, post):
    late = datetime.now(BEIJING).replace(hour=23, minute=10, second=0, microsecond=0)
    offset = (late - clock.now()).total_seconds()
    await post("conditions", {"business_offset_s": offset})
    wanted = intent("CUTOFF0001", scene=Scene.APP, placed_at=late, expires_at=late + timedelta(minutes=30))
    await channel.start(account, wanted, now=clock.now())
    made = await post("pay", {"order_id": "CUTOFF0001"})
    assert made["settle_date"] == f"{late.date() + timedelta(days=1):%Y%m%d}"


@pytest.mark.parametrize(("fault", "error"), [("broken_files", None), ("wrong_signatures", PartyOutcomeUnknown)])
async def test_a_file_that_is_cut_or_unsigned(channel, account, post, fault, error):
    day = settle_day()
    await post("close-day", {"date": day.isoformat(), "kinds": []})
    await post("faults", {fault: 1})
    if error:
        with pytest.raises(error):
            await channel.bill(account, day, now=clock.now())
        return
    found = await channel.bill(account, day, now=clock.now())
    with pytest.raises(files.Broken, match="bytes, not 607"):
        list(map(files.fields_of, files.records_of(found)))


async def test_content_that_is_no_archive_is_broken(channel, account, post, monkeypatch, world):
    day = settle_day()
    await post("close-day", {"date": day.isoformat(), "kinds": []})
    path = next(world._directory.glob("bills/unionpay-*.zm"))
    assert path.stat().st_size % 609 == 0
    monkeypatch.setattr(files, "FILE_BYTES_MAX", 100)
    with pytest.raises(BillBroken):
        await channel.bill(account, day, now=clock.now())


def test_the_layout_adds_up():
    assert files.RECORD_BYTES == 607
    assert len(files.FIELDS) == 42
    assert len(files.CORRECTION_WIDTHS) == 22
    offsets, at = {}, 0
    for name, width in files.FIELDS:
        offsets[name], at = at, at + width + 1
    published = {"查询流水号": 87, "商户订单号": 112, "商户手续费": 166, "商户代码": 293, "清算净额": 374, "保留": 509}
    assert {name: offsets[name] for name in published} == published


def test_fields_are_cut_by_bytes_and_not_by_characters():
    cells = [b" " * width for _, width in files.FIELDS]
    cells[30] = "模拟医院".encode("gbk").ljust(32)
    cells[31] = b"C000000000123"
    fields = files.fields_of(b" ".join(cells))
    assert (fields["二级商户简称"], fields["二级商户分账入账金额"]) == ("模拟医院", "C000000000123")
    assert files.fields_of(b" ".join(cells) + b"x")["保留"] == "x"


def test_which_file_of_the_archive():
    content = packed(b"detail", NAME, (NAME.replace("ZM_", "ZME_"), b"errors"), ("readme.txt", b""))
    assert files.unpack(content, files.DETAIL) == b"detail"
    assert files.unpack(content, files.CORRECTIONS) == b"errors"
    assert files.unpack(packed(b"x", "other"), files.DETAIL) is None
    with pytest.raises(files.Broken, match="2 files"):
        files.unpack(packed(b"x", NAME, (NAME + "2", b"y")), files.DETAIL)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "!!!",
        base64.b64encode(b"no zlib").decode(),
        base64.b64encode(zlib.compress(b"no zip")).decode(),
        base64.b64encode(zlib.compress(b"x" * 1000)[:-3]).decode(),
    ],
)
def test_what_is_no_archive(content):
    with pytest.raises(files.Broken):
        files.unpack(content, files.DETAIL)


def test_bombs_are_refused_before_they_are_unpacked(monkeypatch):
    monkeypatch.setattr(files, "FILE_BYTES_MAX", 1 << 20)
    with pytest.raises(files.Broken, match="a file of"):
        files.unpack(packed(b"\0" * ((1 << 20) + 1)), files.DETAIL)
    monkeypatch.setattr(files, "PACKED_BYTES_MAX", 1 << 10)
    with pytest.raises(files.Broken, match="zlib"):
        files.unpack(base64.b64encode(zlib.compress(b"\0" * (1 << 20))).decode(), files.DETAIL)
    many = [(f"x{number}", b"") for number in range(64)]
    with pytest.raises(files.Broken):
        files.unpack(packed(b"x", NAME, *many), files.DETAIL)


@pytest.mark.parametrize("text", ["", "C", "X1", "C-1", "C1.2", "1", "C１"])
def test_amounts_that_are_none(text):
    with pytest.raises(files.Broken):
        files.signed_fen(text)
