"""The rules of CONTRIBUTING.md that can be read off the source: each takes a module and yields what breaks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "yimatong"
WRITTEN_BY_TOOLS = ("migrations/versions/",)
FOUNDATIONS = frozenset({"kit", "crypto", "standards"})
"""Rooms without tables of anybody's business; every module of theirs is offered."""

ASSEMBLY = frozenset({"apps", "cli"})
"""Rooms that put the others together; they may see into them, save for their tables."""

OFFERED = frozenset({"service", "queries", "schemas", "errors"})
"""What a feature of one room offers to another room."""

OFFERED_ALONE = {
    "access": {
        "approvals",
        "asgi",
        "caller",
        "callers",
        "edge",
        "idempotency",
        "operators",
        "request_auth",
        "resealing",
        "sessions",
        "shared",
        "webhooks",
    },
    "cards": {
        "accounts.history",
        "codec",
        "codes.item",
        "codes.issuing",
        "codes.policies",
        "codes.symbols",
        "labels.kiosk",
        "symbologies.paper",
        "symbologies.layout",
    },
    "empi": {
        "dossiers.words",
        "identifiers.catalogue",
        "identifiers.crossing",
        "identifiers.managing",
        "identifiers.media",
        "identifiers.rules",
        "identifiers.visibility",
        "merges.by_provider",
        "merges.decisions",
        "merges.rules",
        "persons.identity",
        "reviews.metrics",
        "rules.explaining",
        "rules.presets",
        "search.showing",
        "topics",
    },
    "payments": {"accounts", "desk", "channels.base", "receipts.drawing", "sources", "states"},
}
"""Features that are one module, by room; they are offered as they are."""

PURE = (
    "standards.",
    "cards.codec",
    "cards.codes.judgement",
    "cards.codes.offline",
    "empi.persons.identity",
    "empi.matching.",
    "empi.golden.survivorship",
    "empi.rules.presets",
    "empi.identifiers.visibility",
    "empi.identifiers.catalogue",
    "empi.identifiers.rules",
    "empi.merges.rules",
    "access.request_auth",
    "access.caller",
    "kit.money",
    "kit.masking",
    "care.printed_codes.texts",
    "payments.states",
    "payments.channels.commercial.transformers",
    *(f"payments.channels.insurance.{each}" for each in ("bills", "credentials", "hospital", "keys", "mobile")),
    *(f"payments.channels.insurance.{each}" for each in ("notices", "signing", "splits")),
    "payments.channels.ncms.transformers",
    "payments.channels.netbank.documents",
    "payments.channels.netbank.profiles",
    "payments.channels.netbank.signing",
    "payments.channels.netbank.transformers",
    "payments.channels.signed.signing",
    "payments.channels.signed.transformers",
    "payments.channels.wechat.signing",
    "payments.channels.wechat.transformers",
    "payments.channels.wechat.keys",
    "payments.channels.wechat.medical",
    "payments.channels.wechat.notices",
    "payments.channels.alipay.signing",
    "payments.channels.alipay.replies",
    "payments.channels.alipay.facts",
    "payments.channels.alipay.transformers",
    "payments.channels.alipay.notices",
    "payments.channels.alipay.agreements",
    "payments.channels.alipay.meaning",
    "payments.channels.alipay.bills",
    "payments.refunds.sharing",
    "payments.scanning.reading",
    "payments.receipts.drawing",
    "payments.receipts.lines",
    "payments.receipts.slips",
    "payments.channels.quickpay.transformers",
    "reconciliation.matching",
    "reconciliation.bills.",
)
IMPURE = frozenset(
    {
        *(
            "sqlalchemy",
            "psycopg",
            "psycopg_pool",
            "aiohttp",
            "httpx",
            "litestar",
            "uvicorn",
            "duckdb",
            "procrastinate",
        ),
        *("asyncio", "socket", "time", "random", "secrets", "os", "subprocess"),
        *("yimatong.kit.db", "yimatong.kit.http", "yimatong.kit.outbox", "yimatong.kit.audit"),
    }
)
CLOCK_READERS = {
    "access.edge": "the edge of the native API",
    "gateways.front": "the edge of a front",
    "gateways.hl7v2.handling": "the edge of the messages of HL7 v2",
    "gateways.health.door": "the edge of the health interfaces",
    "web.page": "the edge of the pages",
    "web.failures": "the edge of the pages, when a request failed before it had a page",
    "payments.notices.endpoints": "the edge of the channels' notices, which carry no signature of ours",
    "access.webhooks": "a delivery is signed when it leaves, hours after the message was written",
    "kit.outbox": "the end of a delivery is later than its claim",
}
"""Who may read the wall clock besides the workers, the command line and the simulators, and why."""

CLOCK_ROOMS = ("apps.", "cli.", "sandbox.")
MONEY_ROOMS = ("payments.", "care.", "reconciliation.", "kit.money")
NOT_MONEY = {
    "payments.receipts.drawing": "millimetres on a page",
    "payments.receipts.lines": "millimetres on a page",
    "payments.receipts.slips": "millimetres on a page",
    "reconciliation.engine": "DuckDB's own settings",
    "reconciliation.service": "how long a run took",
}
PRINTERS = ("cli.",)
LINES_MAX, TEST_LINES_MAX, FUNCTION_LINES_MAX = 400, 600, 60


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


class Module(NamedTuple):
    """One file: ``name`` is dotted below ``yimatong`` (or the path, for a file outside the package)."""

    name: str
    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.text)

    @property
    def room(self) -> str:
        return self.name.split(".", maxsplit=1)[0]


def package_modules() -> list[Module]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append(Module(".".join(parts).removesuffix(".__init__"), str(path.relative_to(ROOT)), path.read_text()))
    return found


def all_modules() -> list[Module]:
    outside = []
    for folder in ("tests", "sdk", "bench", "drills", "bootstrap", "migrations"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT).as_posix()
            if not relative.startswith(WRITTEN_BY_TOOLS) and "egg-info" not in relative:
                outside.append(Module(relative, relative, path.read_text()))
    return [*package_modules(), *outside]


Rule = Callable[[Module], Iterator[str]]


def short(module: Module) -> Iterator[str]:
    most = TEST_LINES_MAX if module.path.startswith("tests/") else LINES_MAX
    lines = module.text.count("\n")
    if lines > most:
        yield f"{lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.name} has {length} lines"


def imports(module: Module) -> Iterator[str]:
    """Yield every imported name in full, whether it is a module or something in one."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def across_rooms(module: Module) -> Iterator[str]:
    for name in imports(module):
        parts = name.split(".")
        if parts[0] != "yimatong" or len(parts) < 3 or parts[1] in (module.room, *FOUNDATIONS):
            continue
        if "models" in parts[2:]:
            yield f"another room's tables: {name}"
        elif module.room in ASSEMBLY:
            continue
        elif not _offered(parts[1], parts[2:]):
            yield f"not offered by its room: {name}"


def _offered(room: str, rest: list[str]) -> bool:
    if any(part in OFFERED for part in rest):
        return True
    return any(".".join(rest[:size]) in OFFERED_ALONE.get(room, ()) for size in (1, 2, 3))


def pure(module: Module) -> Iterator[str]:
    if not f"{module.name}.".startswith(tuple(name if name.endswith(".") else f"{name}." for name in PURE)):
        return
    for name in imports(module):
        if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE):
            yield f"imports {name}"
    for call in _calls(module):
        if re.fullmatch(r"(\w+\.)*(datetime|date|clock)\.(now|utcnow|today)|open|input|print", call):
            yield f"calls {call}"


def _calls(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def commits(module: Module) -> Iterator[str]:
    if module.name in {"kit.db", "kit.connections"}:  # the second holds the first one's connections
        return
    for call in _calls(module):
        if call.endswith((".commit", ".rollback", ".begin", ".begin_nested")) and module.name != "cli.migrate":
            yield f"calls {call}"


def reads_clock(module: Module) -> Iterator[str]:
    if module.name in (*CLOCK_READERS, "kit.clock") or module.name.startswith(CLOCK_ROOMS):
        return
    for call in _calls(module):
        if re.fullmatch(
            r"(\w+\.)*(clock\.now|datetime\.(now|utcnow|today)|date\.today|time\.time|time\.localtime)", call
        ):
            yield f"calls {call}"
    for name in imports(module):
        if name == "yimatong.kit.clock.now":
            yield f"imports {name}"


def whole_money(module: Module) -> Iterator[str]:
    in_room = f"{module.name}.".startswith(MONEY_ROOMS) and module.name not in NOT_MONEY
    for node in ast.walk(module.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            shown = ast.unparse(node)
            if "_fen" in shown and "Decimal(" not in shown:
                yield f"divides money: {shown}"
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
            if "float" in ast.unparse(node.annotation).split("[")[0] and (in_room or name.endswith("_fen")):
                yield f"{name} is a float"
        elif in_room and isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"the float {node.value}"
        elif in_room and isinstance(node, ast.Call) and ast.unparse(node.func) in ("float", "round"):
            yield f"calls {ast.unparse(node.func)}"


def prints(module: Module) -> Iterator[str]:
    if module.name.startswith(PRINTERS):
        return
    for call in _calls(module):
        if call in ("print", "pprint.pprint", "sys.stdout.write"):
            yield f"calls {call}"


def narrow_names(module: Module) -> Iterator[str]:
    for part in module.name.split("."):
        if part in ("utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"):
            yield f"named {part}"
    if module.name.count(".") > 3:
        yield "more than three levels"


def whole_patterns(module: Module) -> Iterator[str]:
    r"""A pattern says where it begins and ends; ``$`` alone lets a line feed follow, so ``(?!\\n)$`` is written."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg == "pattern" and isinstance(node.value, ast.Constant):
            text = str(node.value.value)
            if not (text.startswith("^") and text.endswith(r"(?!\n)$")):
                yield f"the pattern {text}"


def outside_transactions(module: Module) -> Iterator[str]:
    """Find calls to an outside party that stand inside a transaction's own block."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncWith) and any(_opens_transaction(item) for item in node.items):
            for inner in (part for statement in node.body for part in ast.walk(statement)):
                if isinstance(inner, ast.Call) and re.search(r"\b(outbound|channel|channels\[.*\])\.", _name(inner)):
                    yield f"calls {_name(inner)} inside a transaction"


def _opens_transaction(item: ast.withitem) -> bool:
    called = item.context_expr
    return isinstance(called, ast.Call) and _name(called).endswith((".transaction", "db.read"))


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func).replace("_outbound", "outbound")


RULES: tuple[Rule, ...] = (
    *(short, across_rooms, pure, commits, outside_transactions, whole_patterns),
    *(reads_clock, whole_money, prints, narrow_names),
)
"""Every rule over the package."""
