"""``ymt drill privacy``: planted residents are nowhere to be read in what an attacker may get hold of.

Ten thousand residents, every fact of whom is unique, are registered and used over HTTP: cards, codes, visits, bills,
payments, pages, refused and malformed requests with their data in the wrong places. Then a dump of the database, its
raw files, every log, every file of the data folder and every address given out are searched for those facts, plain
and in the usual encodings. And every answer that a caller or a page got, and everything that was sent to outside
parties, is searched for raw master index ids (``mpi``): all of these are without the right to them.

The search is tried first on a table, a log and an answer in which facts were planted in the clear: it must find them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parent))

from _planted import Needles, Resident, residents

from yimatong.cli import story
from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home
from yimatong_sdk import AnswerNotGenuine, ApiError

_say = Console(stderr=True, soft_wrap=True, highlight=False)
_FULL_TALES = 25
"""So many residents go through the whole story, with payment and pages; the others are registered, shown and read."""

_IDS = re.compile(rb"[0-9a-f]{32,}")
_PLANTED = 5
"""How many leaks the self-test plants."""


class Heard:
    """Every answer that callers and pages got, and every address that was asked for or given out."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.addresses: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()

    def listen(self, client: httpx.Client) -> None:
        """Keep what this client gets from now on."""
        client.event_hooks = {"response": [self._keep]}

    def _keep(self, reply: httpx.Response) -> None:
        reply.read()
        with self._lock:
            self.bodies.append(reply.content + repr(reply.headers.raw).encode())
            self.statuses[reply.status_code] += 1
            self.addresses.add(reply.headers.get("location", ""))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill privacy", description=__doc__)
    parser.add_argument("--persons", type=int, default=10_000, help="10,000 at most")
    parser.add_argument("--threads", type=int, default=12)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 when a fact or a raw id is found, or a planted leak is not."""
    arguments = parse(argv)
    began = time.monotonic()
    planted = residents(min(arguments.persons, 10_000))
    with temporary_home("ymt-drill-") as home:
        platform = LocalPlatform(home, report=_say.print)
        try:
            platform.start()
            heard = Heard()
            _live(platform, planted, heard, threads=arguments.threads)
            _await_worker(platform.settings.database_url)
            plain, raw_mpi = _search(platform, Needles(planted), heard)
            caught = _self_test(platform, Needles(planted), heard, planted[0])
        finally:
            platform.stop()
    for place, kinds in sorted(plain.items()):
        print(f"plain: {place}: {dict(kinds)}")
    for place, number in sorted(raw_mpi.items()):
        print(f"raw mpi: {place}: {number}")
    leaks = sum(sum(kinds.values()) for kinds in plain.values())
    print(
        f"figure: privacy persons={len(planted)} plain={leaks} raw_mpi={sum(raw_mpi.values())} "
        f"answers={len(heard.bodies)} planted={_PLANTED} caught={caught} seconds={time.monotonic() - began:.0f}"
    )
    return 0 if not leaks and not raw_mpi and caught == _PLANTED else 1


def _live(platform: LocalPlatform, planted: Sequence[Resident], heard: Heard, *, threads: int) -> None:
    """Register everybody and use what they have."""
    cast = story.Cast(platform.settings)
    for client in (cast.app, cast.his, cast.terminal, cast.other_his):
        heard.listen(client._http)  # noqa: SLF001 -- the drill listens where an integrator's own log would
    vuids: dict[int, str] = {}
    try:
        with Progress(console=_say, transient=True) as progress, ThreadPoolExecutor(threads) as pool:
            task = progress.add_task("登记 / registering", total=len(planted))

            def one(number: int) -> None:
                vuids[number] = _short_tale(cast, planted[number], number)
                progress.advance(task)

            for future in [pool.submit(one, number) for number in range(len(planted))]:
                future.result()
        for number in range(min(_FULL_TALES, len(planted))):
            _full_tale(cast, heard, vuids[number], number, planted[number])
        for number in range(min(_FULL_TALES, len(planted))):
            _misplaced(cast, planted[number], vuids[number])
    finally:
        cast.close()
    _say.print(f"应答 / answers: {dict(sorted(heard.statuses.items()))}")


def _short_tale(cast: story.Cast, resident: Resident, number: int) -> str:
    """Register at the window, the first few by an app with an outside check; every tenth shows a code."""
    if number < _FULL_TALES:
        return str(cast.app.register_account(resident.facts, real_name="police_online")["vuid"])
    vuid = str(cast.his.register_account(resident.facts, real_name="certificate_read")["vuid"])
    if number % 10 == 0:
        cast.his.read_account(vuid)
        code = cast.his.issue_code(vuid, code_class="visit")
        cast.terminal.verify_code(code["text"], purpose="visit", med_step="010101")
        other = {**resident.facts, "sex": "1" if resident.sex == "2" else "2"}
        _refused(lambda: cast.his.register_account(other, real_name="certificate_read"))
    return vuid


def _bind(cast: story.Cast, heard: Heard, vuid: str, resident: Resident) -> None:
    """Bind the resident's bank card, with the bank's code from the control port, and try to take it off wrongly."""
    started = cast.app.start_bank_card(vuid, resident.bank_card)
    sent = cast.control("/control/bank/messages")
    code = next(each["secret"] for each in sent if each["request_no"] == started["binding_id"])
    bound = cast.app.confirm_bank_card(vuid, started["binding_id"], code=code)
    heard.addresses.add(str(bound))
    heard.addresses.add(str(cast.app.bank_cards(vuid)))
    wrong = {"id_type": "01", "id_number": resident.id_number, "number": resident.bank_card[:-1] + "x"}
    _refused(lambda: cast.app.unbind_bank_card(vuid, started["binding_id"], **wrong))


def _full_tale(cast: story.Cast, heard: Heard, vuid: str, number: int, resident: Resident) -> None:
    """Visit, bill, bank card, the resident's own pages."""
    code = cast.app.issue_code(vuid, code_class="visit")
    seen = cast.terminal.verify_code(code["text"], purpose="visit", med_step="010101")
    visit = {"visit_no": f"P{number}", "verification_id": seen["record_id"], "vuid": vuid}
    cast.his.register_visit({**visit, "department": "内科", "doctor": "李建国"})
    items = [{"name": "诊察费", "amount_fen": 5000}]
    bill = {"visit_no": f"P{number}", "bill_no": f"PB{number}", "description": "门诊缴费", "items": items}
    placed = cast.his.create_bill({**bill, "total_fen": 5000})
    heard.addresses.add(str(placed))
    _bind(cast, heard, vuid, resident)
    link = cast.app.make_page_link(vuid)
    heard.addresses.add(str(link))
    with cast.browser() as browser:
        heard.listen(browser)
        browser.get(link["url"])
        for page in ("/card", "/card/code", "/card/history", "/console", "/nowhere"):
            browser.get(page)


def _misplaced(cast: story.Cast, resident: Resident, vuid: str) -> None:
    """Send the resident's data where they do not belong: none of it may come to rest in a log or a row."""
    wrong: list[tuple[str, str, Any]] = [
        ("GET", f"/api/v1/accounts/{resident.id_number}", None),
        ("GET", f"/api/v1/orders/{resident.phone}", None),
        ("POST", "/api/v1/accounts", {"resident": {**resident.facts, resident.id_number: "1"}, "real_name": "stated"}),
        ("POST", "/api/v1/accounts", {"resident": {**resident.facts, "birth_date": resident.name}, "real_name": "x"}),
        ("GET", f"/api/v1/accounts/{resident.bank_card}/bank-cards", None),
        ("POST", f"/api/v1/accounts/{vuid}/bank-cards", {"number": resident.bank_card, resident.bank_card: 1}),
        ("POST", "/api/v1/codes", {"vuid": resident.id_number}),
        ("POST", "/api/v1/codes/verify", {"code": resident.id_number, "purpose": "visit"}),
        ("POST", "/api/v1/codes/verify", {"code": f"{vuid}:1:{resident.name}", "purpose": "visit"}),
        ("POST", "/api/v1/refunds", {"order_no": resident.name, "reason": resident.phone, "amount_fen": 1}),
    ]
    for client in (cast.his, cast.app, cast.terminal):
        for method, target, body in wrong:
            _refused(lambda c=client, m=method, t=target, b=body: c.call(m, t, b))  # type: ignore[misc]


def _refused(act: Callable[[], object]) -> None:
    try:
        act()
    except AnswerNotGenuine:  # a front's own answer for a path that it does not serve
        return
    except ApiError as error:
        if error.http_status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise


def _await_worker(url: str) -> None:
    """Wait until the worker has delivered what it can, so that its rows and logs are searched too."""
    until = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < until:
            row = connection.execute("SELECT count(*) FROM kit_outbox WHERE delivered_at IS NULL").fetchone()
            if row is None or not row[0]:
                return
            time.sleep(0.5)


def _search(
    platform: LocalPlatform, needles: Needles, heard: Heard, *, only: str = ""
) -> tuple[dict[str, Counter[str]], dict[str, int]]:
    """Search everything; return what was found in the clear by place, and the raw ids by place.

    ``only`` limits the files to one folder of the data.
    """
    _say.print("搜索数据库转储、数据文件、日志、地址 / searching dump, files, logs, addresses")
    plain: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "dump.sql"
        _dump(platform, dump)
        plain["dump"] = needles.in_file(dump)
    for path, deeper in _files(platform.data, only):
        found = needles.in_file(path, deeper=deeper)
        if found:
            plain[str(path.relative_to(platform.data))] = found
    plain["addresses"] = needles.find("\n".join(sorted(heard.addresses)).encode())
    raw_mpi = {"answers": _raw_ids(platform, heard.bodies)}
    journal = platform.data / "sandbox" / "journal.jsonl"
    raw_mpi["outside parties"] = _raw_ids(platform, [journal.read_bytes()] if journal.exists() else [])
    return {place: kinds for place, kinds in plain.items() if kinds}, {k: v for k, v in raw_mpi.items() if v}


def _dump(platform: LocalPlatform, target: Path) -> None:
    url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
    subprocess.run([str(find(user=None) / "pg_dump"), "--file", str(target), url], check=True)


def _files(data: Path, only: str) -> Iterator[tuple[Path, int]]:
    """Yield every file of the data folder with how deep to look; the outside world's own memory is not ours."""
    for path in sorted((data / only).rglob("*")):
        parts = path.relative_to(data).parts
        if path.is_file() and parts[0] != "sandbox":
            yield path, 0 if "postgres" in parts[0] else 1


def _raw_ids(platform: LocalPlatform, texts: Sequence[bytes]) -> int:
    """Count the raw master index ids in what somebody without the right got: hex, with or without hyphens."""
    with psycopg.connect(platform.settings.database_url) as connection:
        ids = {row[0].hex.encode() for row in connection.execute("SELECT mpi FROM empi_person")}
    found = 0
    for text in texts:
        flat = text.replace(b"-", b"").lower()
        for run in _IDS.findall(flat):
            found += sum(run[start : start + 32] in ids for start in range(len(run) - 31))
    return found


def _self_test(platform: LocalPlatform, needles: Needles, heard: Heard, resident: Resident) -> int:
    """Plant facts in the clear in a table, a log, a packed file and an answer; count how many are found."""
    with psycopg.connect(platform.settings.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE planted (note text, bytes bytea)")
        connection.execute("INSERT INTO planted VALUES (%s, %s)", (resident.name, resident.id_number.encode()))
        row = connection.execute("SELECT mpi FROM empi_person LIMIT 1").fetchone()
    log = platform.data / "logs" / "planted.log"
    log.write_text(json.dumps({"detail": f"no such resident {resident.name}", "phone": resident.phone}))
    heard.bodies.append(f'{{"person": "{row[0] if row else ""}"}}'.encode())
    plain, raw_mpi = _search(platform, needles, heard, only="logs")
    dump, logged = plain.get("dump", Counter()), plain.get("logs/planted.log", Counter())
    return sum(
        (bool(dump["name"]), bool(dump["id_number"]), bool(logged["name"]), bool(logged["phone"]), bool(raw_mpi))
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
