"""Where things are: the checkout, its revisions, the data. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import psycopg

from yimatong.cli.binaries import SHARED

CHECKOUT = Path(__file__).resolve().parents[3]


def data_folder(given: Path | None) -> Path:
    """Return where the data lives: as given, or beside the checkout, or where root keeps the database's data.

    PostgreSQL does not run as root. Its user must reach the data, and a checkout under a private home is out of his
    reach; so root's data lives in a folder named by the checkout's path.
    """
    if given is not None:
        return given.absolute()
    if os.geteuid() == 0:
        return SHARED / hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    return CHECKOUT / ".data"


def newest_revisions(versions: Path) -> set[str]:
    """Return the revisions that no other revision follows, read as text: Alembic costs a second to import."""
    made, followed = set(), set()
    for path in versions.glob("*.py"):
        text = path.read_text()
        made |= set(re.findall(r'^revision = "(\w+)"', text, re.MULTILINE))
        followed |= set(re.findall(r'^down_revision = "(\w+)"', text, re.MULTILINE))
    return made - followed


def is_current(url: str) -> bool:
    """Say whether a database has the newest schema already."""
    try:
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except psycopg.errors.UndefinedTable:
        return False
    return {str(version) for (version,) in rows} == newest_revisions(CHECKOUT / "migrations" / "versions")
