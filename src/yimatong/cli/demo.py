"""``ymt demo``: tells the platform's story in the terminal against the running platform, with its real values.

It may be told again and again; it ends with a non-zero status when a step does not come true, at once when nothing
listens.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import typer
from rich.cells import cell_len
from rich.console import Console

from yimatong.apps.assembly import assemble
from yimatong.cli import story
from yimatong.cli.errors import NothingListens, StoryFailed
from yimatong.cli.reconcile import show as show_reconciliation
from yimatong.cli.story import Cast, expect
from yimatong.kit import clock, log, settings
from yimatong.kit.money import yuan
from yimatong.kit.settings import Settings
from yimatong.reconciliation import service as reconciliation
from yimatong.reconciliation.service import RunResult

_PLANTED_FOUND_AS = {"refund_amount": "amount"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="demo")(demo)


def demo() -> None:
    """对正在运行的平台走完全流程 / Tell the whole story against the running platform."""
    current = settings.load()
    log.set_up(process="demo", level=40)
    require_listening(current)
    console = Console()
    started = time.monotonic()
    cast = Cast(current)
    try:
        Teller(cast, current, console).tell()
    finally:
        cast.close()
    console.print(f"\n[bold green]全部完成 / all came true[/]  {time.monotonic() - started:.1f} s")


def require_listening(current: Settings) -> None:
    """Refuse at once when a process of the platform does not listen.

    Raises:
        NothingListens: with the address.
    """
    known = current.addresses
    for address in (known.core, known.institution_front, known.internet_front, known.web, known.sandbox_control):
        place = urlsplit(address)
        try:
            socket.create_connection((place.hostname or "", place.port or 80), timeout=2).close()
        except OSError as error:
            raise NothingListens(address=address) from error


class Teller:
    """Tells the steps in order, each with its values."""

    def __init__(self, cast: Cast, current: Settings, console: Console) -> None:
        """Draw the resident and the numbers of this telling."""
        self._cast = cast
        self._settings = current
        self._console = console
        self._resident = story.new_resident()
        self._number = secrets.token_hex(6)
        self._steps = 0
        self._vuid = ""

    def tell(self) -> None:
        """Tell the whole story.

        Raises:
            StoryFailed, YimatongError: a step did not come true.
        """
        self._enrol()
        self._codes()
        order_no = self._visit_and_payment()
        self._his_was_down()
        self._refund(order_no)
        self._reconcile()

    def _say(self, title: str, **values: object) -> None:
        self._steps += 1
        self._console.print(f"[bold cyan]{self._steps:>2}[/] {title}", highlight=False, soft_wrap=True)
        for name, value in values.items():
            room = " " * max(12 - cell_len(name), 1)
            self._console.print(f"     [dim]{name}[/]{room}{value}", highlight=False, soft_wrap=True)

    def _enrol(self) -> None:
        cast, resident = self._cast, self._resident
        account = cast.app.register_account(story.facts(resident), real_name="police_online")
        self._vuid = account["vuid"]
        self._say(
            "APP 经互联网前置机为居民建卡，公安核验实名 / an app enrols a resident",
            居民=f"{resident.name} {resident.id_number}",
            VUID=self._vuid,
            mpi_ref=account["mpi_ref"],
        )
        again = cast.app.register_account(story.facts(resident), real_name="police_online")
        _require(again["vuid"] == self._vuid, "再次申请")
        stranger = story.facts(resident) | {"name": "冒名者"}
        refused = expect("EMP-1001", "冒名", lambda: cast.app.register_account(stranger, real_name="police_online"))
        self._say(
            "同一居民再次申请得到同一张卡，冒名者被拒 / once more: the same card; a stranger: refused", 拒绝=refused
        )
        link = cast.app.make_page_link(self._vuid)["url"]
        with cast.browser() as browser:
            page = browser.get(link)
            _require(page.status_code == 200 and "<svg" in page.text, "居民卡页")  # noqa: PLR2004 -- HTTP's 200
        self._say("居民打开自己的卡页 / the resident opens her own card page", 页面=link)

    def _codes(self) -> None:
        cast = self._cast
        code = cast.app.issue_code(self._vuid, code_class="visit")["text"]
        seen = cast.terminal.verify_code(code, purpose="visit", med_step="010101")
        _require(seen["resident"]["id_number"] == self._resident.id_number, "验码")
        self._say(
            "窗口终端经机构前置机扫动态码 / a terminal verifies a dynamic code",
            动态码=code[:12] + "…" + code[63:],
            验得=f"{seen['resident']['name']} {seen['resident']['id_number']}",
            记录=seen["record_id"],
        )
        other = cast.his.register_account(story.facts(story.new_resident()), real_name="certificate_read")["vuid"]
        fresh = cast.app.issue_code(self._vuid, code_class="visit")["text"]
        verify = cast.terminal.verify_code
        self._say(
            "用过的、贴到别人卡上的、用途不符的都被拒 / used, pasted and misused codes are refused",
            再扫一次=expect("CRD-2004", "再扫", lambda: verify(code, purpose="visit")),
            贴给他人=expect("CRD-2002", "贴码", lambda: verify(other + fresh[64:], purpose="visit")),
            用作支付=expect("CRD-2007", "用途", lambda: verify(fresh, purpose="payment")),
        )

    def _visit_and_payment(self) -> str:
        cast = self._cast
        placed = story.register_visit_and_bill(cast, self._vuid, number=self._number, total_fen=38_050)
        order_no = str(placed["order_no"])
        self._say(
            "HIS 登记就诊并请求缴费 / the HIS registers the visit and asks for payment",
            订单=order_no,
            金额=f"¥{yuan(placed['total_fen'])}",
            收银台=placed["cashier_url"],
        )
        foreign = expect("PAY-1001", "他院查单", lambda: cast.other_his.read_order(order_no))
        story.pay_at_cashier(cast, placed["cashier_url"])
        paid = story.wait_state(cast, order_no, "paid")
        self._say(
            "居民在收银台用微信支付付款 / the resident pays by WeChat Pay at the cashier",
            渠道单号=paid["channel_trade_no"],
            状态=paid["state"],
            他院查单=foreign,
        )
        told = story.within(30, "HIS 收到通知", lambda: story.booked(cast, order_no, "order_paid"))
        self._say("HIS 收到签名通知并入账一次 / the HIS is told and books it once", 通知=told[0]["idempotency_key"])
        return order_no

    def _his_was_down(self) -> None:
        cast = self._cast
        story.set_his(cast, "down")
        try:
            number = self._number + "d"
            placed = story.register_visit_and_bill(cast, self._vuid, number=number, total_fen=12_345)
            story.pay_at_cashier(cast, placed["cashier_url"])
            story.wait_state(cast, placed["order_no"], "paid")
            time.sleep(1.5)
            _require(not story.booked(cast, placed["order_no"], "order_paid"), "HIS 停机")
        finally:
            story.set_his(cast, "up")
        told = story.within(40, "HIS 恢复后收到通知", lambda: story.booked(cast, placed["order_no"], "order_paid"))
        self._say(
            "HIS 停机时付的款，恢复后照样送达 / paid while the HIS was down, told when it is back",
            订单=placed["order_no"],
            入账=f"{len(told)} 次",
        )

    def _refund(self, order_no: str) -> None:
        cast = self._cast
        wanted: dict[str, Any] = {
            "order_no": order_no,
            "request_no": f"R{self._number}",
            "amount_fen": 5000,
            "reason": "退诊察费",
        }
        asked = cast.his.create_refund(wanted)
        done = story.wait_refund(cast, asked["refund_no"])
        order = cast.his.read_order(order_no)
        too_much = wanted | {"request_no": f"R{self._number}x", "amount_fen": 38_050}
        self._say(
            "部分退款原路退回，超额被拒 / a partial refund goes back; more than was paid is refused",
            退款单=done["refund_no"],
            已退=f"¥{yuan(order['refunded_fen'])}",
            超额=expect("PAY-2002", "超额退款", lambda: cast.his.create_refund(too_much)),
        )

    def _reconcile(self) -> None:
        day, seed = story.today(), secrets.randbelow(10**6)
        planted = story.close_business_day(self._cast, day, seed=seed)["planted"]
        result = asyncio.run(self._run_day())
        for row in planted:
            _require(_is_found(row, result), f"对账找出 {row['kind']}")
        self._say(
            "微信出账单（按种子埋入差错），逐笔对账全部找出 / every planted difference is found",
            日期=day,
            种子=seed,
            埋入=", ".join(sorted(row["kind"] for row in planted)),
        )
        show_reconciliation(result, self._console)

    async def _run_day(self) -> RunResult:
        parts = assemble(self._settings)
        try:
            return await reconciliation.run_day(
                parts.db, parts.vault, parts.channels, day=story.today(), data=self._settings.data, now=clock.now()
            )
        finally:
            await parts.close()


def _is_found(row: dict[str, Any], result: RunResult) -> bool:
    """Say whether a planted difference is among the findings, by its class and number."""
    wanted = _PLANTED_FOUND_AS.get(row["kind"], row["kind"])
    number = row["out_refund_no"] or row["out_trade_no"]
    return any(
        finding.klass == wanted and finding.number == number
        for account in result.accounts
        for finding in account.findings
    )


def _require(condition: object, step: str) -> None:
    if not condition:
        raise StoryFailed(step=step, detail="与预期不符 (not as expected)")
