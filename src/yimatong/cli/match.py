"""``ymt match``: train a matching model, link in bulk, explain a model or a pair, list the models.

A SOURCE is ``database`` (the index itself, unsealed in a stream), a CSV or Parquet file with the columns ``name, sex,
birth_date, id_type, id_number, phone, address`` (and ``record_id``), or ``synthetic:ROWS`` (a checkout's made-up
population). What a run finds is written to a file of mode 0600: record, person, and with the pairs their weights.
"""

from __future__ import annotations

import asyncio
import getpass
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from yimatong.apps.assembly import Parts
from yimatong.cli.errors import InputUnreadable
from yimatong.cli.match_sources import Source, opened_source
from yimatong.cli.secrets_read import with_parts
from yimatong.empi.errors import SparkMissing
from yimatong.empi.linkage import bulk, calibrating, duck, preparing, results, stored, training
from yimatong.empi.linkage.training import Trained
from yimatong.empi.matching import explain as words
from yimatong.empi.matching import model as models
from yimatong.empi.matching import scoring
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.facts import Facts
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.scoring import Scorer, Thresholds
from yimatong.kit import clock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
match_app = typer.Typer(
    name="match", help="匹配模型与批量关联 / matching models and bulk linkage.", no_args_is_help=True
)

SourceName = Annotated[
    str, typer.Argument(metavar="SOURCE", help="database、CSV/Parquet 文件，或 synthetic:行数 / or synthetic:ROWS")
]
MemoryMb = Annotated[int, typer.Option(min=100, help="DuckDB 内存上限（MB）/ DuckDB's memory limit")]
Spill = Annotated[
    Path | None,
    typer.Option(help="加密临时文件的目录；缺省不写盘 / folder of encrypted spill files; none: memory only"),
]
ModelName = Annotated[
    str, typer.Option("--model", help="模型版本、JSON 文件，或 default / version, JSON file, or default")
]
_PROCESSES = 2


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(match_app)


@match_app.command()
def train(
    source: SourceName = "database",
    *,
    settings: Annotated[Path | None, typer.Option(help="匹配配置文件 / settings file", exists=True)] = None,
    out: Annotated[Path | None, typer.Option(help="写入文件而不入库 / write a file, store nothing")] = None,
    sample: Annotated[int, typer.Option(min=100, help="EM 抽样行数 / rows that EM looks at")] = 200_000,
    memory_mb: MemoryMb = 1600,
    spill: Spill = None,
) -> None:
    """训练匹配模型并入库（新版本）/ Train a matching model and store it as a new version."""
    given = configuration.read(settings.read_bytes()) if settings else configuration.shipped()

    def learn(connection: DuckDBPyConnection, _opened: Source) -> tuple[Trained, dict[str, Any]]:
        trained = training.train(connection, given, sample=sample, fallback=_fallback(given))
        if "id_valid" not in configuration.preparation(given).columns:
            return trained, {}
        found = calibrating.calibrate(connection, trained.model)
        more = {"thresholds": msgspec.to_builtins(found.thresholds), "lifted_guards": list(found.lifted)}
        return msgspec.structs.replace(trained, model=found.model), more

    async def work(parts: Parts | None) -> None:
        trained, more = await _over(source, given, parts, learn, memory_mb=memory_mb, spill=spill)
        if out is not None or parts is None:
            results.private(out or Path("model.json"), models.write(trained.model))
            typer.echo(f"模型已写入 / model written: {out or 'model.json'}")
        else:
            async with parts.db.transaction() as connection:
                version = await stored.store(
                    connection, trained, source=source, created_by=getpass.getuser(), now=clock.now(), more=more
                )
            typer.echo(f"已入库的模型版本 / stored as model version {version}")
        typer.echo(f"记录 / records: {trained.records}  几乎确定的记录对 / certain pairs: {trained.certain_pairs}")
        if more:
            chosen = more["thresholds"]
            typer.echo(f"建议阈值 / thresholds chosen: link {chosen['link']:.1f}, review {chosen['review']:.1f} bits")
        if trained.unseen_levels:
            typer.echo(f"未出现的级别 / levels never seen: {', '.join(trained.unseen_levels)}")

    _run(work, needs_parts=source == "database" or out is None)


def _fallback(given: configuration.Settings) -> Model | None:
    shipped = models.default()
    return shipped if shipped.settings.comparisons == given.comparisons else None


@match_app.command()
def run(
    source: SourceName = "database",
    *,
    out: Annotated[Path, typer.Option(help="结果目录 / folder of the results")] = Path("linkage"),
    model: ModelName = "default",
    link: Annotated[float, typer.Option(help="自动关联阈值（比特）/ bits from which a pair is linked")] = 10.0,
    review: Annotated[float, typer.Option(help="人工核对阈值（比特）/ bits from which it is reviewed")] = 0.0,
    engine: Annotated[str, typer.Option(help="duckdb 或 spark / or spark")] = "duckdb",
    memory_mb: MemoryMb = 1600,
    spill: Spill = None,
) -> None:
    """批量关联并写出结果，不改动主索引 / Link in bulk and write the result; the index is left alone."""
    if engine != "duckdb":
        _require_spark()
    thresholds = scoring.checked(Thresholds(link=link, review=review))

    async def work(parts: Parts | None) -> None:
        chosen = await _model(model, parts)

        def linked(connection: DuckDBPyConnection, opened: Source) -> bulk.Linked:
            found = bulk.link(connection, chosen, thresholds, say=Console(stderr=True).print)
            results.write(connection, opened.names, out, thresholds)
            return found

        began = time.perf_counter()
        found = await _over(source, chosen.settings, parts, linked, memory_mb=memory_mb, spill=spill)
        typer.echo(
            f"候选对 / pairs: {found.pairs}  自动关联 / links: {found.links}  待核对 / to review: {found.reviews}"
        )
        typer.echo(
            f"冲突 / conflicts: {len(found.clusters.conflicts)}  用时 / seconds: {time.perf_counter() - began:.1f}"
        )
        typer.echo(f"结果目录 / results: {out}")

    _run(work, needs_parts=source == "database" or model.isdigit())


def _require_spark() -> None:
    """Refuse the Spark engine, naming what it lacks; this release links on DuckDB alone.

    Raises:
        SparkMissing: always.
    """
    missing = [] if importlib.util.find_spec("pyspark") else ["pyspark"]
    missing += [] if shutil.which("java") else ["Java 17"]
    raise SparkMissing(missing=", ".join([*missing, "yimatong.empi.linkage.spark (计划中 / planned)"]))


@match_app.command(name="explain")
def explain_(
    *,
    model: ModelName = "default",
    pair: Annotated[
        Path | None, typer.Option(help="两条记录的 JSON 文件 / JSON file of two records", exists=True)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出（图表数据）/ print JSON, for charts")] = False,
) -> None:
    """用文字解释模型，或解释一对记录的得分 / Explain a model in words, or the score of a pair."""

    async def work(parts: Parts | None) -> None:
        chosen = await _model(model, parts)
        if pair is not None:
            _show_pair(chosen, pair, as_json=as_json)
        elif as_json:
            sys.stdout.buffer.write(msgspec.json.encode(words.levels(chosen)) + b"\n")
        else:
            _show_model(chosen)

    _run(work, needs_parts=model.isdigit())


def _show_model(chosen: Model) -> None:
    typer.echo(f"{chosen.settings.name}：起点 / prior {chosen.prior_weight:.1f} bits (1/{1 / chosen.prior:,.0f})")
    for level in words.levels(chosen):
        typer.echo(words.sentence(level, "zh"))
        typer.echo(f"    {words.sentence(level, 'en')}")


def _show_pair(chosen: Model, pair: Path, *, as_json: bool) -> None:
    try:
        left, right = msgspec.json.decode(pair.read_bytes(), type=tuple[Facts, Facts])
    except (msgspec.DecodeError, OSError) as error:
        raise InputUnreadable(what=str(pair)) from error
    scorer = Scorer(chosen)
    score = scorer.score(scorer.prepare(left), scorer.prepare(right))
    lines = words.waterfall(chosen, score)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode({"score": score, "lines": lines}) + b"\n")
        return
    table = Table("比较 / comparison", "比特 / bits", "合计 / total")
    for line in lines:
        table.add_row(f"{line.zh} / {line.en}", f"{line.weight:+.2f}", f"{line.total:+.2f}")
    Console().print(table)
    typer.echo(f"同一人的概率 / probability of one person: {score.probability:.6f}")
    for zh, en in zip(words.guards(chosen, score, "zh"), words.guards(chosen, score, "en"), strict=True):
        typer.echo(f"禁止自动关联 / never linked by machine: {zh} / {en}")


@match_app.command(name="models")
def models_() -> None:
    """列出已入库的模型 / List the stored models."""

    async def work(parts: Parts | None) -> None:
        assert parts is not None  # noqa: S101 -- asked for below
        async with parts.db.read() as connection:
            found = await stored.listed(connection)
        for each in found:
            at = f"{each.created_at.astimezone(clock.BEIJING):%Y-%m-%d %H:%M}"
            told = each.trained_on
            typer.echo(f"{each.version}  {at}  {each.created_by}  {told.get('source')}  {told.get('records')}")
        typer.echo(f"模型 / models: {len(found)}")

    _run(work, needs_parts=True)


def _run(work: Callable[[Parts | None], Awaitable[None]], *, needs_parts: bool) -> None:
    """Run with the installation's parts where they are needed; a file alone needs no installation."""
    asyncio.run(with_parts(work) if needs_parts else _alone(work))


async def _alone(work: Callable[[Parts | None], Awaitable[None]]) -> None:
    await work(None)


async def _model(name: str, parts: Parts | None) -> Model:
    """Return the model of this version, of this file, or the shipped one."""
    if name == "default":
        return models.default()
    if parts is not None and name.isdigit():
        async with parts.db.read() as connection:
            return await stored.read(connection, int(name))
    try:
        return models.read(await asyncio.to_thread(Path(name).read_bytes))
    except OSError as error:
        raise InputUnreadable(what=name) from error


async def _over(
    source: str,
    settings: configuration.Settings,
    parts: Parts | None,
    work: Callable[[DuckDBPyConnection, Source], T],
    *,
    memory_mb: int,
    spill: Path | None,
) -> T:
    """Do ``work`` on the prepared table ``records`` of a source; everything heavy runs in a thread."""
    sealer = await parts.vault.sealer() if parts is not None and source == "database" else None

    def whole() -> T:
        url = parts.settings.database_url if parts is not None else ""
        with opened_source(source, database_url=url, sealer=sealer) as opened:
            with duck.opened(memory_mb=memory_mb, spill=spill) as connection:
                preparing.load(
                    connection,
                    settings,
                    opened.batches,
                    rows=opened.rows,
                    processes=min(_PROCESSES, os.cpu_count() or 1),
                )
                found = work(connection, opened)
            if opened.unsealing_s:
                typer.echo(f"其中解封 / of which unsealing: {opened.unsealing_s():.1f} s", err=True)
            return found

    return await asyncio.to_thread(whole)
