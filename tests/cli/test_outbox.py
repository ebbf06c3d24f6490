"""``ymt outbox``: what was given up is listed with its reason, and delivered again by a command."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest


@pytest.fixture(scope="module")
def ymt(tmp_path_factory, database_url):
    folder = tmp_path_factory.mktemp("outbox")
    (folder / "settings.toml").write_text(
        f'data = "{folder}"\ndatabase_url = "{database_url}"\nkeystore = "{folder}/keystore.json"\n'
        f'keystore_passphrase = "correct horse battery"\nweb_session_key = "{"00" * 32}"\n'
    )

    def run(*words, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "yimatong.cli.main", *words],
            env={**os.environ, "YMT_SETTINGS": str(folder / "settings.toml"), "COLUMNS": "80"},
            check=False,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    run("keys", "demo")
    return run


def test_a_parked_message_is_listed_and_replayed_once(ymt, database_url):
    with psycopg.connect(database_url) as connection:
        message_id = connection.execute(
            "INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at, state, attempts, last_error)"
            " VALUES ('care.order-paid', 'ord_1', '{}', now(), now(), 'parked', 19, 'KIT-5101') RETURNING id"
        ).fetchone()[0]
    listed = ymt("outbox", "parked")
    (line,) = [each for each in listed.splitlines() if each.startswith(f"{message_id} ")]
    assert all(word in line for word in ("care.order-paid", "ord_1", "KIT-5101"))
    ymt("outbox", "replay", str(message_id))
    with psycopg.connect(database_url) as connection:
        (found,) = connection.execute("SELECT state, attempts FROM kit_outbox WHERE id = %s", (message_id,)).fetchall()
        told = connection.execute(
            "SELECT count(*) FROM kit_audit_event WHERE action = 'outbox:replay' AND object_id = %s", (str(message_id),)
        ).fetchone()
    assert found == ("pending", 0)
    assert told == (1,)
    again = ymt("outbox", "replay", str(message_id), status=1)
    assert str(message_id) in again


def test_the_list_of_keys_is_whole_on_a_narrow_terminal(ymt):
    listed = ymt("keys", "list")
    assert "…" not in listed
    assert all(word in listed for word in ("protection", "签名密钥", "active", "anchor", "empi_person.sealed"))
