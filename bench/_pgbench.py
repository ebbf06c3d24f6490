"""The baselines: pgbench doing per transaction what one of our requests does, on the same tables and indexes.

A verification: one request nonce taken, the caller, the earlier use, the account and the person read, the use consumed,
the record and the audit row written. An issue: one request nonce and one idempotency key taken, account, holder and
policy read, the record, the audit row and the kept answer written. Prepared statements, fsync and synchronous_commit
on, at its best over a sweep of client counts.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

VERIFY = r"""
\set number random(0, :accounts - 1)
\set terminal random(0, :terminals - 1)
\set high random(1, 1000000000000)
\set low random(1, 1000000000000)
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at)
  VALUES ('bench-terminal-' || lpad(:terminal::text, 3, '0'), :high::text || '-' || :low::text, now())
  ON CONFLICT DO NOTHING;
SELECT state FROM access_caller WHERE caller_id = 'bench-terminal-' || lpad(:terminal::text, 3, '0');
SELECT vuid, mpi AS person, state, static_allowed, codes_valid_from FROM cards_account
  WHERE vuid = upper(encode(sha256(:number::text::bytea), 'hex')) ORDER BY generation DESC LIMIT 1 \gset
SELECT used_by, used_key, record_id, failures FROM cards_code_use
  WHERE vuid = :vuid AND issued_at = :high AND nonce = decode(lpad(to_hex(:low::bigint), 10, '0'), 'hex');
SELECT mpi, sealed, sex, birth_date, state FROM empi_person WHERE mpi = :person::uuid;
INSERT INTO cards_code_use (vuid, issued_at, nonce, used_at, used_by, used_key, record_id, forget_at)
  VALUES (:vuid, :high, decode(lpad(to_hex(:low::bigint), 10, '0'), 'hex'), now(), 'bench-terminal-000',
          :low::text, 'rec_' || :high::text, 1)
  ON CONFLICT DO NOTHING;
INSERT INTO cards_code_record (vuid, record_id, at, event, code_kind, purpose, result, caller_id, institution_id,
                               request_id, key_version, took_ms)
  VALUES (:vuid, 'rec_' || :high::text || '-' || :low::text, now(), 'verified', 'dynamic', 'visit', 'ok',
          'bench-terminal-000', 'bench-hospital', 'req_' || :low::text, 1, 5);
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
  VALUES (now(), 'bench-terminal-000', 'bench-hospital', 'codes-verify', 'code_record',
          'rec_' || :high::text || '-' || :low::text, 'ok', 'req_' || :low::text);
COMMIT;
"""

ISSUE = r"""
\set number random(0, :accounts - 1)
\set terminal random(0, :terminals - 1)
\set high random(1, 1000000000000)
\set low random(1, 1000000000000)
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at)
  VALUES ('bench-terminal-' || lpad(:terminal::text, 3, '0'), :high::text || '-' || :low::text, now())
  ON CONFLICT DO NOTHING;
SELECT state FROM access_caller WHERE caller_id = 'bench-terminal-' || lpad(:terminal::text, 3, '0');
INSERT INTO access_idempotency (caller_id, key, request_digest, status, answer, at)
  VALUES ('bench-terminal-000', :high::text || '-' || :low::text, sha256(:low::text::bytea), 0, '', now())
  ON CONFLICT DO NOTHING RETURNING key;
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id)
  VALUES (now(), 'bench-terminal-000', 'bench-hospital', 'codes-issue', 'route', '/api/v1/codes', 'ok',
          'req_' || :low::text);
SELECT vuid, mpi AS person, state, static_allowed, codes_valid_from FROM cards_account
  WHERE vuid = upper(encode(sha256(:number::text::bytea), 'hex')) ORDER BY generation DESC LIMIT 1 \gset
SELECT vuid AS held FROM cards_holder WHERE vuid = :vuid AND holder = 'bench-hospital';
SELECT subject FROM cards_code_policy WHERE subject IN ('bench-terminal-000', 'bench-hospital');
INSERT INTO cards_code_record (vuid, record_id, at, event, code_kind, purpose, result, caller_id, institution_id,
                               request_id, key_version)
  VALUES (:vuid, 'rec_' || :high::text || '-' || :low::text, now(), 'issued', 'dynamic', 'visit', 'ok',
          'bench-terminal-000', 'bench-hospital', 'req_' || :low::text, 1);
UPDATE access_idempotency SET status = 201, answer = decode(repeat('ab', 280), 'hex')
  WHERE caller_id = 'bench-terminal-000' AND key = :high::text || '-' || :low::text;
COMMIT;
"""

_TPS = re.compile(r"tps = ([0-9.]+)")
_FAILED = re.compile(r"number of failed transactions: (\d+)")


def best(
    pgbench: Path, url: str, sql: str, *, accounts: int, terminals: int, clients: tuple[int, ...], seconds: int
) -> dict[int, float]:
    """Return transactions per second of ``sql`` by client count.

    Raises:
        RuntimeError: pgbench failed; the message has its last lines.
    """
    found: dict[int, float] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(sql)
        script.flush()
        for count in clients:
            done = subprocess.run(
                [
                    *(str(pgbench), "-n", "-M", "prepared", "-c", str(count), "-j", "2", "-T", str(seconds)),
                    *("-D", f"accounts={accounts}", "-D", f"terminals={terminals}", "-f", script.name, url),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            tps = _TPS.search(done.stdout)
            if done.returncode or tps is None:
                message = "pgbench failed: " + (done.stderr or done.stdout)[-600:]
                raise RuntimeError(message)
            found[count] = float(tps[1])
    return found
