"""A whole platform on this machine, as one object: ``ymt up``, benches, drills and tests start it the same way.

::

    with LocalPlatform(data) as platform:
        httpx.get(platform.addresses.core + "/health/ready")
        platform.kill("core"); platform.restart("core")
        platform.kill_database(); platform.start_database()
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from yimatong.cli import configuration, nursery, places, ports
from yimatong.cli.databases import check_server
from yimatong.cli.errors import AlreadyRunning, FolderUnusable, PartMissing, UnknownName
from yimatong.cli.postgres import LocalPostgres
from yimatong.cli.processes import DEMONSTRATION, PROCESSES, available, kind_of
from yimatong.cli.supervisor import Supervisor, serving
from yimatong.kit import settings as kit_settings
from yimatong.kit.settings import Addresses, Settings


class LocalPlatform:
    """A database and processes on one data folder. Every method blocks; in an event loop call them by a thread.

    ``port_base`` of None takes free ports; ``database_url`` uses a server instead of the embedded database. ``report``
    hears each step (title in Chinese and English) before it begins.
    """

    def __init__(
        self,
        data: Path,
        *,
        port_base: int | None = None,
        database_url: str | None = None,
        report: Callable[[str], None] = lambda _title: None,
    ) -> None:
        """Name the place; nothing is touched before ``start``."""
        self.data = data.absolute()
        self.port_base = port_base or 0
        self.database = None if database_url else LocalPostgres(self.data)
        self._database_url = database_url
        self._report = report
        self.supervisor = Supervisor(self.data, say=report)
        self._lock: int | None = None
        self._moved = False
        self._forked = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def settings_path(self) -> Path:
        """Return the settings file of the core, the pages and the worker."""
        return configuration.settings_path(self.data)

    @property
    def settings(self) -> Settings:
        """Return the settings as the processes read them."""
        return kit_settings.load(self.settings_path)

    @property
    def addresses(self) -> Addresses:
        """Return the base URLs of the processes."""
        return ports.addresses(self.port_base)

    def start(self, processes: Sequence[str] | None = None, *, seed: bool = True) -> None:
        """Bring everything up: database, schema, keys, demonstration data (first time), processes.

        ``core@2`` among the processes is a second core on the same port.

        Raises:
            AlreadyRunning, PortTaken, FolderUnusable, DatabaseUrlInvalid, PostgresFailed, ProcessFailed: as named.
        """
        wanted = list(processes) if processes is not None else available()
        for name in wanted:
            if kind_of(name) not in PROCESSES:
                raise UnknownName(name=name, kind_zh="进程", kind_en="process", known=", ".join(PROCESSES))
        try:
            self.start_base(wanted)
            if seed:
                self.seed()
            self.start_processes(wanted)
        except BaseException:
            self.stop()
            raise

    def start_base(self, processes: Sequence[str] = ()) -> None:
        """Bring up what the processes stand on: folder, ports, database, settings, schema, keys."""
        if self.database is None:
            _make_folder(self.data)
        else:
            self.database.prepare()
        self._take_lock()
        left = self.supervisor.register.end_leftovers()
        if left:
            self._report(f"已结束上次遗留的进程：{'、'.join(left)} / ended what an earlier run left behind")
        self.port_base = self.port_base or ports.free_base()
        ports.require_free(ports.ports(self.port_base).values())
        self._forked = nursery.SUPPORTED and len(processes) > 1
        if self._forked:
            self.supervisor.warm_up(sorted(map(kind_of, processes)))
        url = self._start_database()
        self._moved = configuration.write(self.data, database_url=url, port_base=self.port_base)
        if not places.is_current(url):
            self._report("更新数据库结构 / migrating the database")
            importlib.import_module("yimatong.cli.migrate").upgrade(url)  # Alembic costs a second to import
        make_keys(self.settings)

    def start_processes(self, names: Sequence[str]) -> None:
        """Start processes of the platform and wait until all are ready."""
        self._report(f"启动 {len(names)} 个进程 / starting {len(names)} processes")
        known = ports.ports(self.port_base)
        several = {kind_of(name) for name in names if name != kind_of(name)}
        self.supervisor.start(
            [
                serving(
                    name,
                    port=known[kind_of(name)],
                    settings=configuration.settings_path(self.data, kind_of(name)),
                    forked=self._forked,
                    shared=kind_of(name) in several,
                )
                for name in names
            ]
        )

    def seed(self) -> bool:
        """Load the demonstration data unless this database has it; say whether it was loaded."""
        note = self.data / "seeded.json"
        done = json.loads(note.read_text()) if note.exists() else []
        settings = self.settings
        identity = _database_identity(settings.database_url)
        if settings.production:
            return False
        if identity in done:
            if self._moved:
                asyncio.run(importlib.import_module(DEMONSTRATION).renew(settings))
            return False
        if importlib.util.find_spec(DEMONSTRATION) is None:
            self._report("这个版本还没有演示数据 / no demonstration data in this version yet")
            return False
        self._report("装入演示数据 / loading demonstration data")
        load_demonstration(settings)
        module = importlib.import_module(DEMONSTRATION)
        told = {"logins": list(getattr(module, "LOGINS", ())), "first_steps": list(getattr(module, "FIRST_STEPS", ()))}
        self._introduction.write_text(json.dumps(told, ensure_ascii=False, indent=1))
        note.write_text(json.dumps([*done, identity]))
        return True

    def introduction(self) -> dict[str, list[Any]]:
        """Return what the demonstration data said about itself when it was loaded: ``logins``, ``first_steps``."""
        told: dict[str, list[Any]] = {"logins": [], "first_steps": []}
        if self._introduction.exists():
            told |= json.loads(self._introduction.read_text())
        return told

    @property
    def _introduction(self) -> Path:
        return self.data / "introduction.json"

    def stop(self) -> None:
        """Stop the processes in reverse order, then the database, and let the folder go."""
        self.supervisor.stop()
        if self.database is not None:
            self.database.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self, process: str) -> None:
        """End a process with SIGKILL and leave it dead."""
        self.supervisor.kill(process)

    def restart(self, process: str) -> None:
        """Start a killed process again (or stop and start a living one) and wait until it is ready."""
        self.supervisor.restart(process)

    def kill_database(self) -> None:
        """End the embedded database's postmaster with SIGKILL.

        Raises:
            PartMissing: the database is a server elsewhere.
        """
        self._embedded().kill()

    def start_database(self) -> None:
        """Start the embedded database again after ``kill_database``."""
        self._embedded().start()

    def look(self) -> None:
        """Restart what crashed, the database too."""
        if self.database is not None and self.database.pid is None:
            self._report("数据库意外退出，正在重启 / the database ended unexpectedly and is restarted")
            self.database.start()
        self.supervisor.look()

    def _embedded(self) -> LocalPostgres:
        if self.database is None:
            raise PartMissing(part="本机数据库 / local database")
        return self.database

    def _start_database(self) -> str:
        if self.database is None:
            self._report("检查数据库 / checking the database")
            url = str(self._database_url)
            check_server(url)
            return url
        self._report("启动数据库 / starting the database")
        self.database.start()
        return self.database.url()

    def _take_lock(self) -> None:
        handle = os.open(self.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise AlreadyRunning(path=self.data) from error
        self._lock = handle


def make_keys(settings: Settings) -> bool:
    """Make demonstration keys in the crypto device unless there is a keystore; say whether they were made.

    Raises:
        SdfLibraryUnusable, DeviceUnavailable, SdfError: the crypto machines of the settings do not answer, or decline.
    """
    if settings.keystore.exists():
        return False
    from yimatong.crypto.devices import choice  # noqa: PLC0415 -- costs time that most commands need not spend

    choice.create_demonstration(settings)
    return True


def load_demonstration(settings: Settings) -> None:
    """Load the demonstration data.

    Raises:
        PartMissing: this version has none.
    """
    if importlib.util.find_spec(DEMONSTRATION) is None:
        raise PartMissing(part=DEMONSTRATION)
    asyncio.run(importlib.import_module(DEMONSTRATION).load(settings))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise FolderUnusable(path=path, reason_zh=error.strerror, reason_en=error.strerror) from error


def _database_identity(url: str) -> str:
    """Return what tells this very database from any other, even from one dropped and made again."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT system_identifier, oid FROM pg_control_system(), pg_database WHERE datname = current_database()"
        ).fetchone()
    return ":".join(map(str, row or ()))
