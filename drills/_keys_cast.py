"""Who plays in ``ymt drill keys``: the custodians, the load, the writer, and what is counted."""

from __future__ import annotations

import os
import random
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import psycopg
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import _population

from yimatong.cli.platform import LocalPlatform
from yimatong.crypto.sealing import Sealer
from yimatong.empi.persons.queries import aad
from yimatong_sdk import ApiError, Client

CUSTODIANS: Final = ("drill-zhou", "drill-wu")
say = Console(stderr=True, soft_wrap=True, highlight=False)


class Seen:
    """What is counted; threads only append."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.codes: list[tuple[str, str, str, str]] = []  # text, VUID, record of the issue, record of the verification
        self.refused: list[str] = []
        self.accepted_off: list[str] = []
        self.changed: list[str] = []
        self.wrong_version: list[str] = []
        self.lost: list[str] = []
        self.unopened: list[str] = []
        self.rotations = self.rows = self.kills = 0

    @property
    def bad(self) -> list[str]:
        """Return everything that must not be."""
        lists = (self.refused, self.accepted_off, self.changed, self.wrong_version, self.lost, self.unopened)
        return [each for found in lists for each in found]


class Custodians:
    """Two people at ``ymt keys``, each command a process of its own."""

    def __init__(self, platform: LocalPlatform) -> None:
        """Write down the password that both of them read from a file."""
        self._password = platform.data / "custodians.password"
        self._password.write_text(f"{secrets.token_urlsafe(12)}-Aa1\n")
        self._environment = {**os.environ, "YMT_SETTINGS": str(platform.settings_path), "COLUMNS": "200"}

    @property
    def password(self) -> str:
        """Return the password of both."""
        return self._password.read_text().strip()

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-m", "yimatong.cli.main", "keys", *words]
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str) -> str:
        """Run a command to its end; one that fails ends the drill."""
        with self.start(*words) as process:
            told, _ = process.communicate()
        if process.returncode:
            message = f"ymt keys {' '.join(words)}: {told}"
            raise RuntimeError(message)
        return told

    def agree(self, *request: str) -> str:
        """Propose as the one and approve as the other."""
        said = self.run("propose", *request, "--reason", "演练 drill", *self._as(CUSTODIANS[0]))
        found = re.search(r"apv\S+", said)
        approval_id = found.group() if found else ""
        say.print(f"密钥操作 / ceremony: {' '.join(request)}")
        return self.run("approve", approval_id, *self._as(CUSTODIANS[1]))

    def _as(self, login: str) -> list[str]:
        return ["--login", login, "--password-file", str(self._password)]


class Load(threading.Thread):
    """One client that issues a code and has a terminal verify it, without a pause."""

    def __init__(self, seen: Seen, his: Client, terminal: Client, vuids: Sequence[str], stop: threading.Event) -> None:
        """Keep the parts."""
        super().__init__(daemon=True)
        self._parts = (seen, his, terminal, vuids, stop)

    def run(self) -> None:
        """Go on until told to stop."""
        seen, his, terminal, vuids, stop = self._parts
        while not stop.is_set():
            vuid = random.choice(vuids)
            issued = his.issue_code(vuid, code_class="visit", ttl_s=60)
            try:
                verified = terminal.verify_code(issued["text"], purpose="visit")
            except ApiError as refusal:
                seen.refused.append(f"refused with {refusal.code}: {issued['text']}")
                continue
            seen.codes.append((issued["text"], vuid, issued["record_id"], verified["record_id"]))
            if verified["vuid"] != vuid:
                seen.changed.append(f"{vuid} became {verified['vuid']}")


class Writer(threading.Thread):
    """Somebody who changes and adds persons while they are sealed anew, now and then under the old key still."""

    def __init__(self, url: str, new: Sealer, old: Sealer, accounts: int, stop: threading.Event) -> None:
        """Keep the parts."""
        super().__init__(daemon=True)
        self._parts = (url, new, old, accounts, stop)
        self.written: dict[UUID, bytes] = {}
        self.failure = ""

    def run(self) -> None:
        """Write without a pause, each row in a transaction of its own."""
        url, new, old, accounts, stop = self._parts
        draw = random.Random(5)
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                while not stop.is_set():
                    fresh = draw.random() < 0.1
                    mpi = UUID(bytes=draw.randbytes(16)) if fresh else _population.mpi_of(draw.randrange(accounts))
                    plain = msgspec.json.encode({"drill": draw.randbytes(8).hex()})
                    sealed = (old if draw.random() < 0.1 else new).seal(plain, aad(mpi))
                    if fresh:
                        connection.execute(
                            "INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, created_at,"
                            " changed_at) VALUES (%s, %s, '{}', '0', '2000-01-01', now(), now())",
                            (mpi, sealed),
                        )
                    else:
                        connection.execute("UPDATE empi_person SET sealed = %s WHERE mpi = %s", (sealed, mpi))
                    self.written[mpi] = plain
        except psycopg.Error as error:
            self.failure = f"the writer failed: {error}"
