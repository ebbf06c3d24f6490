"""What ``ymt keys list`` shows: versions, open ceremonies, and what is still sealed under older ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from yimatong.access import operators, resealing
from yimatong.access.ceremony import ledger, queries
from yimatong.access.ceremony.schemas import ACTIONS, Ceremony
from yimatong.access.ceremony.windows import Affected, left
from yimatong.apps.assembly import Parts
from yimatong.apps.keys import ceremonies
from yimatong.apps.sealed import places
from yimatong.crypto.devices.base import KeyState
from yimatong.kit import clock

_WIDE = 104
"""From so many columns on, both languages and date with time stand side by side; on less, one above the other."""
_FEW = 32
"""So many version numbers left are told of."""

STATES = {
    KeyState.READY: "待启用 ready",
    KeyState.ACTIVE: "启用 active",
    KeyState.ENABLED: "可验 enabled",
    KeyState.DISABLED: "停用 disabled",
    KeyState.DESTROYED: "已销毁 destroyed",
}
USAGES = {"security": "安全密钥 security", "protection": "保护密钥 protection", "signing": "签名密钥 signing"}
STANDINGS = {
    "proposed": "待批准 proposed",
    "rejected": "已驳回 rejected",
    "approved": "已批准 approved",
    "running": "执行中 running",
    "done": "完成 done",
    "failed": "失败 failed",
}


async def show(parts: Parts) -> None:
    """Print everything about this installation's keys."""
    console = Console()
    infos, is_cut_off = await asyncio.to_thread(ledger.book, parts.vault.device)
    async with parts.db.read() as connection:
        known = {(entry.usage, entry.version): entry for entry in await ledger.entries(connection)}
        pending = await queries.latest(connection, open_only=True)
        names = await operators.names(connection, {each.proposer_id for each in pending})
    table = Table(title=f"密钥 / keys ({parts.vault.device.name})", title_justify="left")
    for name in ("用途 usage", "版本 version", "状态 state", "校验值 KCV", "产生 made", "此状态自 since"):
        table.add_column(_fitted(name, console), no_wrap=True)
    for info in infos:
        entry = known.get((info.usage.value, info.version))
        anchor = " 锚 anchor" if (info.usage, info.version) == ("protection", parts.vault.anchor) else ""
        times = ("—", "—") if entry is None else (_beijing(entry.made_at), _beijing(entry.since))
        cells = (USAGES[info.usage], f"{info.version}{anchor}", STATES[info.state], info.kcv, *times)
        table.add_row(*(_fitted(cell, console) for cell in cells))
    console.print(table)
    for usage, words in USAGES.items():
        if left(usage, infos) <= _FEW:
            console.print(f"[bold red]{words}: 版本号仅剩 {left(usage, infos)} 个 / version numbers left[/]")
    if parts.vault.device.demonstration:
        console.print("[yellow]演示密钥，不得用于生产 / demonstration keys, never for production[/]")
    console.print("已与密钥系统断开 / cut off from the key system" if is_cut_off else "未断开密钥系统 / not cut off")
    for entry, device in await ceremonies(parts).standing():
        console.print(
            f"[bold red]密码机状态倒退 / the device went back: {entry.usage} {entry.version}"
            f" 台账 ledger {entry.state.value}，设备 device {device}[/]"
        )
    if pending and console.width < _WIDE:
        console.print("待办 / open ceremonies")
        for each in pending:
            console.print(" · ".join(_pending_cells(each, names)), markup=False)
    elif pending:
        console.print(_pending_table(pending, names))
    console.print(await sealed(parts, console))


def _fitted(cell: str, console: Console) -> str:
    return cell if console.width >= _WIDE else cell.replace(" ", "\n", 1)


def refuses(affected: Affected, *, now: datetime) -> str:
    """Return the sentence that tells which valid codes a change of keys refuses."""
    minutes = max(-(-(affected.until - now).total_seconds() // 60), 0)
    return (
        f"注意：第 {affected.version} 版密钥所制的码至多 {affected.codes} 个，最长还有 {minutes:.0f} 分钟有效，将被拒绝"
        f" / refuses {affected.codes} codes at most that would be valid for up to {minutes:.0f} minutes"
    )


def _pending_table(pending: Sequence[Ceremony], names: dict[str, str]) -> Table:
    table = Table(title="待办 / open ceremonies", title_justify="left")
    for name in ("编号 id", "操作 action", "提出人 proposer", "事由 reason", "状态 state"):
        table.add_column(name, overflow="fold")
    for each in pending:
        table.add_row(*_pending_cells(each, names))
    return table


def _pending_cells(each: Ceremony, names: dict[str, str]) -> tuple[str, str, str, str, str]:
    urgent = "紧急 emergency" if each.request.emergency else ""
    words = (ACTIONS[each.request.action], each.request.usage, str(each.request.version or ""), urgent)
    what = " ".join(word for word in words if word)
    who = names.get(each.proposer_id, each.proposer_id)
    return each.approval_id, what, who, each.reason, STANDINGS[each.state]


async def sealed(parts: Parts, console: Console) -> Table:
    """Return the table of what is sealed where; counts only when there are older versions."""
    sealer = await parts.vault.sealer()
    left: dict[str, int] = {}
    for version in sealer.older:
        for name, rows in (await resealing.remaining(parts.db, places(parts.settings), version)).items():
            left[name] = left.get(name, 0) + rows
    async with parts.db.read() as connection:
        known = {each.place: each for each in await resealing.progress(connection)}
    table = Table(title=f"加密数据 / sealed data (v{sealer.active})", title_justify="left")
    for column in ("位置 place", "已重新加密 sealed anew", "仍用旧版本 under older versions", "完成 through"):
        table.add_column(_fitted(column, console), overflow="fold")
    for place in places(parts.settings):
        progress = known.get(place.name)
        current = progress if progress is not None and progress.version == sealer.active else None
        through = _beijing(current.done_at) if current is not None and current.done_at is not None else "—"
        numbers = str(current.resealed if current else 0), str(left.get(place.name, 0))
        table.add_row(place.name, *numbers, _fitted(through, console))
    return table


def _beijing(moment: datetime) -> str:
    return f"{moment.astimezone(clock.BEIJING):%Y-%m-%d %H:%M}"
