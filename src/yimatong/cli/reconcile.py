"""``ymt reconcile DATE``: reconcile a business day with the channels' bills and show what does not agree."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from yimatong.apps.assembly import assemble
from yimatong.kit import clock, log, settings
from yimatong.kit.money import yuan
from yimatong.reconciliation import service
from yimatong.reconciliation.errors import DateInvalid
from yimatong.reconciliation.matching import CLASSES, DIFFERENCES, Finding, Movement, Tally
from yimatong.reconciliation.service import AccountResult, RunResult

KIND_TEXTS = {
    "matched": "相符 matched",
    "amount": "金额不符 amount",
    "status": "状态不符 status",
    "fee": "手续费不符 fee",
    "channel_only": "渠道单边 channel only",
    "platform_only": "平台单边 platform only",
    "duplicate": "重复 duplicate",
    "cross_day": "跨日相符 cross day",
}
_MOVEMENT_TEXTS = {"payment": "支付 payment", "refund": "退款 refund"}
_SHOWN_MAX = 200


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="reconcile")(reconcile)


def reconcile(
    day: Annotated[str, typer.Argument(metavar="DATE", help="账单日 YYYY-MM-DD / bill date")],
    *,
    account: Annotated[str | None, typer.Option(help="只对这个商户账户 / this merchant account only")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出 / print JSON")] = False,
) -> None:
    """与渠道账单对账并列出差异 / Reconcile a day with the channels' bills and list the differences."""
    wanted = _read_day(day)
    current = settings.load()
    log.set_up(process="reconcile", level=40)
    result = asyncio.run(_run(current, wanted, account, quiet=as_json))
    if as_json:
        sys.stdout.write(msgspec.json.encode(_document(result)).decode() + "\n")
    else:
        show(result, Console())
    if result.failed:
        for each in result.failed:
            if each.error is not None:
                reason = f"{each.error.text('zh')}。 / {each.error.text('en')}."
                sys.stderr.write(f"错误：{each.account_id} 未能对账：{reason}\n")
        raise typer.Exit(1)


async def _run(current: settings.Settings, day: date, account: str | None, *, quiet: bool) -> RunResult:
    parts = assemble(current)
    console = Console(stderr=True)
    try:
        with nullcontext() if quiet else console.status("对账 / reconciling") as status:
            return await service.run_day(
                parts.db,
                parts.vault,
                parts.channels,
                day=day,
                data=current.data,
                now=clock.now(),
                account_id=account,
                say=status.update if status is not None else lambda _text: None,
            )
    finally:
        await parts.close()


def show(result: RunResult, console: Console) -> None:
    """Print one table of counts over all accounts, and one of the differences."""
    done = [account for account in result.accounts if account.error is None]
    console.print(_counts(result.day, done))
    found = [(account, finding) for account in done for finding in account.findings if finding.klass in DIFFERENCES]
    crossing = sum(1 for account in done for finding in account.findings if finding.klass == "cross_day")
    if crossing:
        console.print(f"{crossing} 笔与相邻日账单相符 / {crossing} agree with a neighbouring day's bill")
    if not found:
        console.print("没有差异 / no differences" if done else "没有可对账的账户 / no account was reconciled")
        return
    console.print(_differences(found[:_SHOWN_MAX]))
    if len(found) > _SHOWN_MAX:
        console.print(f"另有 {len(found) - _SHOWN_MAX} 笔未列出 / and {len(found) - _SHOWN_MAX} more")


def _counts(day: date, done: Sequence[AccountResult]) -> Table:
    table = Table(title=f"{day} 对账结果 / reconciliation", title_justify="left")
    for name in ("账户 account", "分类 class", "类型 kind"):
        table.add_column(name, no_wrap=True)
    for name in ("平台笔数\nplatform", "平台金额\nyuan", "账单笔数\nbill", "账单金额\nyuan"):
        table.add_column(name, justify="right", no_wrap=True)
    for account in done:
        for tally in sorted(account.tallies, key=lambda each: (CLASSES.index(each.klass), each.kind)):
            table.add_row(*_count_cells(account, tally), style="" if tally.klass in DIFFERENCES else "green")
        if not account.tallies:
            table.add_row(account.account_id, "无交易 nothing to match", "", "0", "0.00", "0", "0.00", style="dim")
    return table


def _count_cells(account: AccountResult, tally: Tally) -> list[str]:
    return [
        account.account_id,
        KIND_TEXTS[tally.klass],
        _MOVEMENT_TEXTS[tally.kind],
        f"{tally.platform_rows:,}",
        yuan(tally.platform_fen),
        f"{tally.bill_rows:,}",
        yuan(tally.bill_fen),
    ]


def _differences(found: Sequence[tuple[AccountResult, Finding]]) -> Table:
    table = Table(title=f"差异 {len(found)} 笔 / differences", title_justify="left")
    for name in ("分类 class", "类型 kind", "单号 number"):
        table.add_column(name, no_wrap=True)
    for name in ("平台 platform", "账单 bill", "行 line"):
        table.add_column(name, overflow="fold")
    for _, finding in found:
        table.add_row(
            KIND_TEXTS[finding.klass],
            _MOVEMENT_TEXTS[finding.kind],
            finding.number,
            _said(finding.platform, finding),
            _said(finding.bill, finding),
            "" if finding.bill_line is None else str(finding.bill_line),
        )
    return table


def _said(side: Movement | None, finding: Finding) -> str:
    if side is None:
        return "—"
    if finding.klass == "status":
        return f"{yuan(side.amount_fen)} {side.state}"
    if finding.klass == "fee":
        due = "" if side.fee_due is None else f"，应为 due {side.fee_due.normalize():f}"
        return yuan(side.amount_fen) + ("" if side.fee is None else f" 费 fee {side.fee.normalize():f}{due}")
    return yuan(side.amount_fen)


def _document(result: RunResult) -> dict[str, object]:
    return {
        "day": result.day,
        "accounts": [
            {
                name: getattr(account, name)
                for name in ("account_id", "channel", "institution_id", "state", "version", "bill_sha256", "seconds")
            }
            | {
                "tallies": account.tallies,
                "findings": account.findings,
                "error": account.error.code if account.error is not None else None,
            }
            for account in result.accounts
        ],
    }


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise DateInvalid(text=text[:32]) from error
