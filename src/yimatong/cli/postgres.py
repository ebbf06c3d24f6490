"""A PostgreSQL of our own beside the data: made, started, stopped and found again here.

It listens on a socket in a folder that only its user (and root) may enter, asks for passwords (SCRAM-SHA-256) that
were drawn when it was made, and runs as a child of this process. ``postmaster.pid`` is PostgreSQL's own and never
touched; after a crash the server is started again until the old shared memory is released.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from yimatong.cli import binaries, children
from yimatong.cli.errors import FolderUnusable, PostgresFailed
from yimatong.kit.errors import DatabaseUnavailable

DATABASE = "yimatong"
ROLE = "ymt"
SOCKET_PORT = 5432
SOCKET_FOLDER_BYTES_MAX = 90
"""A socket's whole path may have 107 bytes on Linux and 103 on macOS; its file name takes 14."""

SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] ",
    "log_min_duration_statement": "2000",
}

_RETRIED = ("pre-existing shared memory block", "lock file", "is already in use")
_LOG_BYTES_MAX = 20 * 2**20


class LocalPostgres:
    """One PostgreSQL under ``home``. Every method blocks; any thread may call them, one at a time."""

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Name the place. ``port`` opens 127.0.0.1 besides the socket; ``folder`` forces the binaries."""
        self.home = home.absolute()
        self.data = self.home / "postgres"
        self.log = self.home / "logs" / "postgres.log"
        self.register = children.Register(self.home / "processes.json")
        self._port = port
        self._folder = folder
        self._settings = {**SETTINGS, **(settings or {})}
        self._secrets = self.home / "database.json"
        self._user: children.User | None = None
        self._run: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Return the number of the running postmaster."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def url(self, database: str = DATABASE) -> str:
        """Return the libpq URL of the application's role."""
        return self._address(ROLE, self._passwords()["application"], database)

    def admin_url(self, database: str = "postgres") -> str:
        """Return the libpq URL of the superuser, for set-up and tests."""
        return self._address("postgres", self._passwords()["superuser"], database)

    def init(self) -> None:
        """Make the cluster unless it is there already. Takes a second or two.

        Raises:
            FolderUnusable: the folder cannot be written or reached.
            PostgresMissing: no binaries.
            PostgresFailed: ``initdb`` failed.
        """
        self.prepare()
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.exists():
            raise FolderUnusable(path=self.data, reason_zh="不是数据库目录", reason_en="it is not a database folder")
        draft = self.home / "postgres.new"
        if draft.exists():  # an initdb that was cut short; nothing ever ran on it
            shutil.rmtree(draft)
        passwords = {"superuser": secrets.token_urlsafe(24), "application": secrets.token_urlsafe(24)}
        self._run_initdb(draft, passwords["superuser"])
        _write_private(self._secrets, json.dumps(passwords))
        draft.rename(self.data)

    def start(self) -> None:
        """Make the cluster when needed, end a leftover of ours, start, and wait until it answers.

        Raises:
            PostgresFailed: it ended, or does not let us in.
        """
        if self.pid is not None:
            return
        self.init()
        if "postgres" in self.register.living():
            self.register.end_leftovers()
        folder = self._binaries()
        deadline = time.monotonic() + 30
        while True:
            before = self.log.stat().st_size if self.log.exists() else 0
            self._spawn(folder)
            if self._answers():
                break
            said = _tail(self.log, before)
            if not any(sign in said for sign in _RETRIED) or time.monotonic() > deadline:
                raise PostgresFailed(action_zh="启动", action_en="started", detail=_last_line(said), log=self.log)
            time.sleep(0.3)
        self._ensure_database()

    def stop(self, *, grace_s: float = 30.0) -> None:
        """Shut down fast: connections are ended, everything committed is on the disk."""
        if self._child is not None:
            children.end(self._child, soft=signal.SIGINT, hard=signal.SIGQUIT, grace_s=grace_s)
            self._forget()

    def kill(self) -> None:
        """End the postmaster with SIGKILL, as a fault drill does; ``start`` recovers."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._forget()

    def _forget(self) -> None:
        self._child = None
        self.register.remove("postgres")
        if self._run is not None and self._run.parent != self.home:
            shutil.rmtree(self._run, ignore_errors=True)
            self._run = None

    def _passwords(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._secrets.read_text())
        return found

    def _address(self, role: str, password: str, database: str) -> str:
        host = quote(str(self._socket_folder()), safe="")
        return f"postgresql://{role}:{password}@/{database}?host={host}&port={self._port or SOCKET_PORT}"

    def _binaries(self) -> Path:
        if self._folder is not None:
            return self._folder
        version = self.data / "PG_VERSION"
        wanted = int(version.read_text().split(".")[0]) if version.exists() else 0
        return binaries.find(wanted=wanted, user=self._user)

    def prepare(self) -> None:
        """Make the folders and see that the database's user can reach them.

        Raises:
            FolderUnusable: they cannot be written or reached.
        """
        self._user = binaries.database_user()
        mode = 0o711 if self._user else 0o700
        try:
            _make_folders(self.home, mode)
            (self.home / "logs").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reason = str(error.strerror)
            raise FolderUnusable(path=self.home, reason_zh=reason, reason_en=reason) from error
        if not os.access(self.home, os.W_OK):
            raise FolderUnusable(path=self.home, reason_zh="没有写权限", reason_en="it is read-only")
        if not binaries.reachable(self.home, self._user):
            raise FolderUnusable(
                path=self.home,
                reason_zh="PostgreSQL 不能以 root 运行，而数据库用户无法进入该目录的上级目录",
                reason_en="PostgreSQL cannot run as root, and the database's user cannot enter a folder above it",
            )

    def _own(self, path: Path) -> None:
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self._user is not None:
            os.chown(path, *self._user)

    def _socket_folder(self) -> Path:
        if self._run is None:
            run = self.home / "run"
            if len(os.fsencode(run)) > SOCKET_FOLDER_BYTES_MAX:
                run = Path(tempfile.mkdtemp(prefix="ymt-"))
            run.mkdir(exist_ok=True)
            self._own(run)
            self._run = run
        return self._run

    def _run_initdb(self, draft: Path, password: str) -> None:
        draft.mkdir()
        self._own(draft)
        secret = self._socket_folder() / "password"
        _write_private(secret, password)
        self._own(secret)
        program = str(self._binaries() / "initdb")
        owner = {"user": self._user.uid, "group": self._user.gid, "extra_groups": []} if self._user else {}
        common = [program, "-D", str(draft), "-U", "postgres", "-E", "UTF8", "-k", "--auth=scram-sha-256"]
        try:
            for locale in ("C.UTF-8", "C"):
                command = [*common, f"--pwfile={secret}", f"--locale={locale}"]
                done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **owner)  # type: ignore[call-overload]
                if done.returncode == 0:
                    return
        finally:
            secret.unlink()
        self.log.write_text(done.stdout + done.stderr)
        raise PostgresFailed(action_zh="建立", action_en="made", detail=_last_line(done.stderr), log=self.log)

    def _spawn(self, folder: Path) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = {
            **self._settings,
            "unix_socket_directories": str(self._socket_folder()),
            "port": str(self._port or SOCKET_PORT),
            "listen_addresses": "127.0.0.1" if self._port else "",
        }
        command = [str(folder / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._child = children.spawn_as(self._user, command, log=log, death=signal.SIGINT, cwd=Path("/"))
        self.register.add("postgres", self._child.pid)

    def _answers(self) -> bool:
        """Wait until connections are accepted; say False when the server ended instead."""
        while self._child is not None and self._child.poll() is None:
            try:
                psycopg.connect(self.admin_url(), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    self.stop()
                    raise PostgresFailed(
                        action_zh="登录", action_en="entered", detail=f"{self._secrets.name}", log=self.log
                    ) from error
                time.sleep(0.03)
            else:
                return True
        self._forget()
        return False

    def _ensure_database(self) -> None:
        try:
            with psycopg.connect(self.admin_url(), autocommit=True) as connection:
                if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
                    password = sql.Literal(self._passwords()["application"])
                    connection.execute(
                        sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(sql.Identifier(ROLE), password)
                    )
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
                    )
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(audit=repr(error)) from error


@contextmanager
def temporary_home(prefix: str = "ymt-") -> Iterator[Path]:
    """Give a folder of our own that the database's user can reach, and remove it with everything in it."""
    user = binaries.database_user()
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 -- mkdtemp draws the name
        if binaries.reachable(Path(parent), user):
            home = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            break
    else:
        raise FolderUnusable(path=tempfile.gettempdir(), reason_zh="数据库用户无法进入", reason_en="out of reach")
    try:
        home.chmod(0o711 if user else 0o700)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _make_folders(path: Path, mode: int) -> None:
    """Make a folder and the missing ones above it; folders that exist keep their bits."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def _tail(path: Path, since: int) -> str:
    with path.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error" in line.lower()]
    return (telling or lines or ["?"])[-1][:300]
