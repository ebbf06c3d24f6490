"""Bring a database to the newest schema, and make the baseline again while there is nothing to migrate from.

Alembic without an ini file: the script folder is ``migrations/`` of the checkout, the URL is handed over in the
configuration's attributes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module, resources
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

import yimatong
from yimatong.cli.errors import CheckoutNeeded
from yimatong.cli.places import CHECKOUT
from yimatong.cli.postgres import LocalPostgres, temporary_home
from yimatong.kit.db import metadata

BASELINE = "0001"
TRIGGERS_FILE = "0001_triggers.sql"
"""What the tables' own module adds to ``metadata.info["triggers"]``: Alembic does not compare triggers."""
JOBS_FILE = "0001_procrastinate.sql"
"""The job queue's own schema, kept beside the baseline so that a newer package does not change an old revision."""


def engine(url: str) -> Engine:
    """Return a synchronous engine on a libpq URL, which SQLAlchemy's own URLs cannot express."""
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)


def import_models() -> list[str]:
    """Import every room's tables, so that ``metadata`` is complete; return the modules' names."""
    found = []
    for folder in sorted(Path(next(iter(yimatong.__path__))).iterdir()):
        for path in sorted([*folder.rglob("models.py"), *folder.rglob("models")]):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found.append(".".join(("yimatong", *parts)))
            import_module(found[-1])
    return found


def folder() -> Path:
    """Return the folder of the revisions.

    Raises:
        CheckoutNeeded: the platform was installed without them.
    """
    place = CHECKOUT / "migrations"
    if not place.is_dir():
        raise CheckoutNeeded(command="ymt migrate")
    return place


def configuration(url: str = "") -> Config:
    """Return Alembic's configuration for a database."""
    made = Config()
    made.set_main_option("script_location", str(folder()).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["url"] = url
    return made


def has_revisions() -> bool:
    """Say whether there is anything to migrate to."""
    return ScriptDirectory.from_config(configuration()).get_current_head() is not None


def upgrade(url: str) -> None:
    """Bring a database to the newest revision."""
    command.upgrade(configuration(url), "head")


def create_jobs(connection: psycopg.Connection[tuple[object, ...]], statements: str) -> None:
    """Run the job queue's schema: many statements in one text, in the connection's transaction."""
    connection.execute(statements.encode())


def create_directly(url: str) -> None:
    """Create the tables from the models without any revision: for tests between two baselines."""
    import_models()
    made = engine(url)
    with made.begin() as connection:
        create_jobs(connection.connection.driver_connection, jobs_schema())  # type: ignore[arg-type]
        metadata.create_all(connection)
    made.dispose()


def jobs_schema() -> str:
    """Return the installed job queue's schema."""
    return resources.files("procrastinate").joinpath("sql/schema.sql").read_text()


def rebaseline() -> Path:
    """Replace all revisions by one that is made from the models, compared with an empty temporary database."""
    versions = folder() / "versions"
    versions.mkdir(exist_ok=True)
    for path in versions.glob("*"):
        if path.is_file():
            path.unlink()
    (versions / JOBS_FILE).write_text(jobs_schema())
    import_models()
    (versions / TRIGGERS_FILE).write_text(";\n".join(part.strip() for part in metadata.info["triggers"]) + ";\n")
    with temporary_home() as home, LocalPostgres(home) as server:
        command.revision(
            configuration(server.url()), message="baseline", autogenerate=True, rev_id=BASELINE, splice=False
        )
    made = versions / f"{BASELINE}_baseline.py"
    made.write_text(_with_triggers(_with_jobs(made.read_text())))
    for arguments in (["check", "--quiet", "--fix"], ["format", "--quiet"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, str(made)], cwd=CHECKOUT, check=False, capture_output=True
        )
    return made


def _with_triggers(text: str) -> str:
    triggers = (
        f'    triggers = Path(__file__).with_name("{TRIGGERS_FILE}").read_text()\n'
        "    op.get_bind().connection.driver_connection.execute(triggers.encode())\n"
    )
    return text.replace("\n\n\ndef downgrade", "\n" + triggers + "\n\ndef downgrade", 1)


def _with_jobs(text: str) -> str:
    opening = "def upgrade() -> None:\n"
    jobs = (
        f'    statements = Path(__file__).with_name("{JOBS_FILE}").read_text()\n'
        "    op.get_bind().connection.driver_connection.execute(statements.encode())\n"
    )
    text = re.sub(r"(?=^import sqlalchemy)", "from pathlib import Path\n\n", text, count=1, flags=re.MULTILINE)
    text = text.replace(opening, opening + jobs, 1)
    return re.sub(
        r"^(def \w+\(\) -> None:)$", r"\1  # noqa: PLR0915 -- one statement a table", text, flags=re.MULTILINE
    )
