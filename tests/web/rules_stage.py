"""Rule sets and runs for the pages of matching rules, on top of ``stage``: what a worker does, and runs made up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import insert

from yimatong.apps.assembly import assemble
from yimatong.empi.linkage import stored
from yimatong.empi.linkage.training import Trained
from yimatong.empi.matching import model as models
from yimatong.empi.models import dry_run
from yimatong.empi.rules import running
from yimatong.empi.rules.schemas import Difference, PairChange
from yimatong.kit import clock
from yimatong.kit.ids import new_id

LONG_NOTE = (
    "根据二〇二六年十一月省卫生健康委基层处与三所试点医院联合抽查的结果：同村同姓同日出生的双胞胎被误并两例，"
    "经数据管理员会商，拟将自动合并阈值由十比特提高到十四比特，并将人工审核阈值提高到二比特以控制每日待审数量，"
    "待下一季度重新训练模型后再行评估。会议纪要编号：陕卫基层函〔2026〕第 114 号，附件三。"
)


async def work(stage: Any, run_id: str) -> None:
    """Do what the worker does with a run."""
    parts = assemble(stage.settings)
    try:
        url = stage.settings.database_url
        await running.run(parts.db, parts.vault, run_id, database_url=url, now=clock.now())
    finally:
        await parts.close()


async def trained(tx: Any, _parts: Any) -> int:
    """Store the shipped model as one of the index's own, two levels never seen."""
    shipped = models.default()
    name = shipped.settings.comparisons[0].name
    found = Trained(
        model=shipped, records=1_204_331, sampled=200_000, certain_pairs=88_120,
        unseen_levels=(f"{name}.slip", f"{name}.same"),
    )  # fmt: skip
    return await stored.store(
        tx, found, source="database", created_by="ymt", now=clock.now(),
        more={"thresholds": {"link": 11.5, "review": 1.0}},
    )  # fmt: skip


async def made_up(tx: Any, version: int, pairs: list[tuple[Any, Any]], **values: Any) -> str:
    """Put a run of a rule set: with ``pairs`` as its samples of every kind, 200 of each."""
    run_id = new_id("run")
    many = [pairs[at % len(pairs)] for at in range(200)] if pairs else []
    samples = {
        change: tuple(
            PairChange(left=a.hex, right=b.hex, weight=60 - at * 0.27, guards=("guarded",) if at % 9 == 0 else ())
            for at, (a, b) in enumerate(many)
        )
        for change in ("merge", "review", "split", "drop")
    }
    found = Difference(
        persons=1_204_331, pairs=88_412, samples=samples,
        counts={"merge": 12_408, "review": 3_120, "split": 200, "drop": 1_007} if pairs else dict.fromkeys(samples, 0),
    )  # fmt: skip
    row = {
        "run_id": run_id, "kind": "dry", "rule_version": version, "state": "done", "rows_done": 1, "rows_total": 1,
        "stage": "", "result": msgspec.to_builtins(found), "started_by": "opr_x", "started_at": clock.now(),
        "ended_at": clock.now() + timedelta(seconds=40),
    }  # fmt: skip
    await tx.execute(insert(dry_run).values(row | values))
    return run_id
