"""Batches in a real browser: upload, columns, dry run, progress, report, refused rows, coverage."""

from __future__ import annotations

import asyncio
import threading

import pytest
from playwright.sync_api import expect

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import assemble
from yimatong.cards.batches import service
from yimatong.cards.batches.service import Options
from yimatong.kit import clock

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SIZES = pytest.mark.parametrize(("name", "size"), [("1440", DESKTOP), ("390", PHONE)])
HEADING = "户主姓名（以户口簿为准，少数民族请填写完整姓名）,公民号码,电话,所属区县代码,备注\n"
LONG = "陕西省汉中市佛坪县石墩河镇二〇二六年度建档立卡贫困人口电子健康卡预发卡名单（第三次修订稿，含新增）.csv"
COUNTIES = ("610730", "610729", "610926", "610116", "000000")


def whole(work):
    """Run a coroutine function beside the browser's own loop."""
    failed: list[BaseException] = []

    def inside() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 -- told to the test
            failed.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def worked(stage, batch_id: str, verb: str) -> None:
    """Do what the worker does."""

    async def go() -> None:
        parts = assemble(stage.settings)
        try:
            if verb == "check":
                say = {"scope": PLATFORM, "now": clock.now(), "say": lambda _rows: None}
                await service.check(parts.db, parts.vault, batch_id, **say)
            else:
                await service.run(parts.db, parts.vault, batch_id, clock=clock.now)
        finally:
            await parts.close()

    whole(go)


def listed(mark: int) -> str:
    """Write a list: five that are good but for their region, and some that are not."""
    lines = [
        f"阿卜杜热西提·麦合木提{'一二三四五'[at]},{number(mark, at)},1380013800{at},{COUNTIES[at]},无\n"
        for at in range(5)
    ]
    return HEADING + "".join(
        [*lines, f"李5,{number(mark, 7)},13800138007,610730,无\n", "王小明,1.10105E+17,13800138008,610730,\n"]
    )


def number(mark: int, at: int) -> str:
    body = f"61073019{80 + mark % 10:02d}0101{100 + 10 * at + mark % 10:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


@SIZES
def test_a_list_from_upload_to_coverage(open_page, stage, log_in, shoot, name, size):  # noqa: PLR0917 -- fixtures come by name
    page = open_page(size)
    log_in(page, "clerk")
    page.goto("/console/batches")
    shoot(page, f"console-batches-{name}-zh")
    page.get_by_label("人群标签").fill("贫困人口")
    page.get_by_label("上传后先核对列的含义").check()
    content = listed(len(name)).encode("gb18030")
    page.get_by_label("文件（CSV、XLSX）").set_input_files({"name": LONG, "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="上传").click()
    expect(page.get_by_role("heading", name="核对列的含义")).to_be_visible()
    expect(page.get_by_text("610730**********").first).to_be_visible()
    assert "阿卜杜热西提" not in page.content()
    page.locator("select").nth(0).select_option("name")
    page.locator("select").nth(1).select_option("id_number")
    shoot(page, f"console-batch-columns-{name}-zh")
    page.get_by_role("button", name="按此导入").click()
    expect(page.locator("[data-state=received]")).to_be_visible()
    batch_id = page.url.rsplit("/", 1)[1]

    page.get_by_role("button", name="试运行").click()
    expect(page.locator("#batch")).to_contain_text("检查中")
    worked(stage, batch_id, "check")
    expect(page.locator("[data-state=checked]")).to_be_visible(timeout=20_000)
    expect(page.locator("[data-number=bad]")).to_have_text("2")
    shoot(page, f"console-batch-checked-{name}-zh")
    page.get_by_role("button", name="开始导入").click()
    expect(page.locator("[data-state=running]")).to_be_visible()
    shoot(page, f"console-batch-running-{name}-zh")
    worked(stage, batch_id, "run")
    expect(page.locator("[data-state=done]")).to_be_visible(timeout=20_000)
    expect(page.locator("[data-number=opened]")).to_have_text("5")
    shoot(page, f"console-batch-done-{name}-zh")
    with page.expect_download() as got:
        page.get_by_role("link", name="下载未导入的行 XLSX").click()
    assert got.value.suggested_filename == f"{batch_id}.xlsx"
    page.get_by_role("link", name="人群覆盖").last.click()
    expect(page.locator("table")).not_to_have_count(0)
    shoot(page, f"console-coverage-{name}-zh")


@SIZES
def test_ten_thousand_refused_rows(open_page, stage, log_in, shoot, tmp_path, name, size):  # noqa: PLR0917 -- fixtures come by name
    bad = tmp_path / f"bad-{name}.csv"
    rows = "".join(f"李{at},1101051949123{at:05d},1380013800{at % 10}\n" for at in range(10_000))
    bad.write_text("姓名,身份证号,手机号\n" + rows, "utf-8")

    async def go() -> None:
        parts = assemble(stage.settings)
        try:
            options = Options(kind="residents", tag=f"计划生育特殊家庭{name}")
            taken = await service.receive(
                parts.db, parts.vault, bad, options, file_name=bad.name, made_by="ymt import", now=clock.now()
            )
            async with parts.db.transaction() as tx:
                await service.start(tx, taken.batch_id, scope=PLATFORM, now=clock.now(), queue=False)
            await service.run(parts.db, parts.vault, taken.batch_id, clock=clock.now)
        finally:
            await parts.close()

    whole(go)
    page = open_page(size)
    log_in(page, "clerk")
    page.goto("/console/batches")
    page.get_by_role("link", name=bad.name).click()
    expect(page.locator("[data-number=bad]")).to_have_text("10,000")
    shoot(page, f"console-batch-bad-{name}-zh")
    page.context.clear_cookies()
    log_in(page, "steward")
    page.goto("/console/batch-rows")
    expect(page.get_by_text(bad.name)).to_be_visible()
    shoot(page, f"console-batch-rows-{name}-zh")
    with page.expect_download() as got:
        page.get_by_role("link", name="下载原始行").first.click()
    assert got.value.path().stat().st_size > 100_000
