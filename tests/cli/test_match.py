"""``ymt match``: a model is trained, stored, listed, explained; the index is linked; what is missing is named."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest

from yimatong.apps.assembly import assemble
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit import settings

Run = Callable[..., str]
_NAMES = ("王晓芳", "李建国", "欧阳修文", "买买提·吐尔逊")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Path:
    """Return the settings file of an installation."""
    folder = tmp_path_factory.mktemp("match")
    (folder / "settings.toml").write_text(
        f'data = "{folder}"\ndatabase_url = "{database_url}"\nkeystore = "{folder}/keystore.json"\n'
        f'keystore_passphrase = "correct horse battery"\nweb_session_key = "{"00" * 32}"\n'
    )
    return folder / "settings.toml"


@pytest.fixture(scope="module")
def ymt(place: Path) -> Run:
    """Return the command."""

    def run(*words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "yimatong.cli.main", *words],
            env={**os.environ, "YMT_SETTINGS": str(place), "COLUMNS": "80"},
            cwd=place.parent,
            check=False,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    run("keys", "demo")
    return run


@pytest.fixture(scope="module")
def persons(ymt: Run, place: Path, database_url: str) -> list[str]:
    """Seal four people twice each, as two providers wrote them; return their ids."""
    assert ymt
    current = msgspec.toml.decode(place.read_bytes(), type=settings.Settings, dec_hook=lambda kind, raw: kind(raw))

    async def sealer():
        parts = assemble(current)
        try:
            return await parts.vault.sealer()
        finally:
            await parts.close()

    seal = asyncio.run(sealer())
    made = []
    with psycopg.connect(database_url) as connection:
        for again in (False, True):
            for number, name in enumerate(_NAMES):
                mpi = uuid4()
                facts = SealedFacts(
                    name=name,
                    id_type="99" if again else "98",
                    id_number=f"D{number}{again}",
                    phone=f"1390000{number:02d}17",
                    address=f"陕西省西安市雁塔区长安南路{number + 1}号",
                )
                connection.execute(
                    "INSERT INTO empi_person (mpi, sealed, search_tokens, sex, birth_date, created_at, changed_at)"
                    " VALUES (%s, %s, '{}', %s, %s, now(), now())",
                    (mpi, seal.seal(msgspec.json.encode(facts), aad(mpi)), "2", date(1960 + number, 3, 4 + number)),
                )
                made.append(mpi.hex)
    return made


def test_a_model_is_trained_stored_listed_and_explained(ymt: Run) -> None:
    """From made-up rows: a version, its words, its numbers for charts."""
    said = ymt("match", "train", "synthetic:3000")
    assert "stored as model version" in said
    version = said.split("stored as model version ")[1].split()[0]
    assert f"{version}  " in ymt("match", "models")
    assert "权重" in ymt("match", "explain", "--model", version)
    levels = json.loads(ymt("match", "explain", "--model", version, "--json"))
    assert {"comparison", "level", "m", "u", "weight", "zh", "en"} <= levels[0].keys()


def test_the_index_is_linked_from_its_sealed_rows(ymt: Run, persons: list[str], place: Path) -> None:
    """The doubles come together by their ids; no fact of anybody is written anywhere."""
    out = place.parent / "found"
    said = ymt("match", "run", "database", "--out", str(out), "--link", "8")
    assert "unsealing" in said
    rows = [line.split(",") for line in (out / "groups.csv").read_text().splitlines()[1:]]
    group = dict(rows)
    for number in range(len(_NAMES)):
        assert group[persons[number]] == group[persons[number + len(_NAMES)]]
    assert len({group[mpi] for mpi in persons}) == len(_NAMES)
    written = b"".join(each.read_bytes() for each in place.parent.rglob("*") if each.is_file())
    assert all(name.encode() not in written for name in _NAMES)
    assert all(name not in said for name in _NAMES)


def test_a_pair_is_explained_step_by_step(ymt: Run, place: Path) -> None:
    """Two records in a file; the values are not shown."""
    pair = [{"name": "王晓芳", "sex": "2", "birth_date": "1990-01-02"}, {"name": "王小芳", "sex": "2"}]
    (place.parent / "pair.json").write_text(json.dumps(pair))
    said = ymt("match", "explain", "--pair", str(place.parent / "pair.json"))
    assert "probability of one person" in said
    assert "晓" not in said
    (place.parent / "pair.json").write_text("[1]")
    assert "cannot be read" in ymt("match", "explain", "--pair", str(place.parent / "pair.json"), status=1)


def test_what_is_missing_is_named(ymt: Run, place: Path) -> None:
    """Spark, a column, a file, a version, thresholds the wrong way round."""
    assert "Spark" in ymt("match", "run", "synthetic:100", "--engine", "spark", status=1)
    (place.parent / "bad.csv").write_text("record_id,name\n1,王\n")
    assert "birth_date" in ymt("match", "run", str(place.parent / "bad.csv"), status=1)
    assert "cannot be read" in ymt("match", "run", str(place.parent / "none.csv"), status=1)
    assert "9999" in ymt("match", "explain", "--model", "9999", status=1)
    assert "thresholds" in ymt("match", "run", "synthetic:100", "--link", "0", "--review", "5", status=1)
    assert "not enough" in ymt("match", "train", "synthetic:50", status=1)


def test_a_csv_file_is_linked(ymt: Run, place: Path) -> None:
    """With a byte order mark and without record ids."""
    heading = "name,sex,birth_date,id_type,id_number,phone,address\n"
    row = "王晓芳,2,1990-03-07,01,,13912345617,陕西省西安市雁塔区长安南路1号\n"
    (place.parent / "people.csv").write_text("﻿" + heading + row * 2 + row.replace("王晓芳", "赵刚"), "utf-8")
    ymt("match", "run", str(place.parent / "people.csv"), "--out", str(place.parent / "csv"), "--link", "8")
    rows = (place.parent / "csv" / "groups.csv").read_text().splitlines()
    assert rows == ["record,person", "0,0", "1,0", "2,2"]
