"""The demonstration's doubts fill the steward's desk through registration itself."""

from __future__ import annotations

import psycopg

from yimatong.apps import demonstration_index
from yimatong.empi.registration.service import Provider
from yimatong.kit import clock


def test_every_kind_of_doubt_waits(visitor, stage, run_async):
    first = Provider(caller_id="his-1", institution_id="inst-h1", refuses=False)
    second = Provider(caller_id="term-2", institution_id="inst-v1", refuses=False)
    done = run_async(
        stage.act(lambda _tx, parts: demonstration_index.load(parts, first=first, second=second, now=clock.now()))
    )
    assert sum(each.outcome == "review" for each in done) >= 4
    with psycopg.connect(stage.settings.database_url) as connection:
        rows = connection.execute("SELECT kind, because, probability, evidence FROM empi_review").fetchall()
    kinds = [row[0] for row in rows]
    assert "certificate_conflict" in kinds
    assert len(rows) >= 4
    guards = {line["level"] for row in rows for line in row[3] if line["comparison"] == "guard"}
    assert "newborn" in guards
    assert any("twin" in guard for guard in guards)
    visitor.log_in("steward")
    assert visitor.look("/console/reviews").text.count("data-review=") == len(rows)
