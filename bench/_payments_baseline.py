"""The baseline of the payments benchmark: pgbench doing for an order what our books need of the database.

The same tables, indexes, triggers and constraints; the same rows written and read; the commits that our promises need:
placing (nonce, key, audit, order, link, answer), intent of the attempt (nonce, audit, lock, attempt, order), what the
channel answered, settling the notice (notice, lock, attempt, ledger, order, news), claim of the news, delivery.
Prepared statements (pgbench takes a colon in a text for a variable, so there are none), fsync and synchronous_commit
on. pgbench knows no account, signs nothing and calls nobody.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

SQL: Final = r"""
\set a random(1, 1000000000000)
\set b random(1, 1000000000000)
\set h random(0, :hospitals - 1)
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at)
  VALUES ('bench-his-' || lpad(:h::text, 3, '0'), 'p' || :a::text || '-' || :b::text, now());
SELECT state FROM access_caller WHERE caller_id = 'bench-his-' || lpad(:h::text, 3, '0');
INSERT INTO access_idempotency (caller_id, key, request_digest, status, answer, at)
  VALUES ('bench-his-000', :a::text || '-' || :b::text, sha256(:a::text::bytea), 0, '', now());
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id, detail)
  VALUES (now(), 'bench-his-000', 'bench-hospital-000', 'orders-write', 'route', '/api/v1/orders', 'ok',
          'req_' || :a::text, '');
INSERT INTO payments_order (order_no, institution_id, caller_id, source_kind, source_id, terminal_no, return_url,
                            description, items, amount_fen, cash_fen, state, expires_at, created_at, updated_at,
                            close_at)
  VALUES ('B' || :a::text || '-' || :b::text, 'bench-hospital-000', 'bench-his-000', 'direct',
          :a::text || '-' || :b::text, '', '', '门诊医疗费',
          '[{"name": "门诊医疗费", "amount_fen": 6000, "quantity": 1, "source_no": "", "code": ""}]', 6000, 6000,
          'created', now() + interval '30 minutes', now(), now(), now() + interval '30 minutes');
INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'order', 'B' || :a::text || '-' || :b::text, NULL, 'created', 'created',
          now());
INSERT INTO access_session (token_digest, subject, purpose, created_at, seen_at, expires_at)
  VALUES (sha256((:a::text || '-' || :b::text)::bytea), 'B' || :a::text || '-' || :b::text, 'link-cashier', now(),
          now(), now() + interval '2 hours');
UPDATE access_idempotency SET status = 201, answer = decode(repeat('ab', 280), 'hex')
  WHERE caller_id = 'bench-his-000' AND key = :a::text || '-' || :b::text;
COMMIT;
BEGIN;
INSERT INTO access_request_nonce (caller_id, nonce, at)
  VALUES ('bench-his-' || lpad(:h::text, 3, '0'), 't' || :a::text || '-' || :b::text, now());
SELECT state FROM access_caller WHERE caller_id = 'bench-his-' || lpad(:h::text, 3, '0');
INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id, detail)
  VALUES (now(), 'bench-his-000', 'bench-hospital-000', 'orders-pay', 'route',
          '/api/v1/orders/B' || :a::text || '/attempts', 'ok', 'req_' || :b::text, '');
SELECT * FROM payments_order WHERE order_no = 'B' || :a::text || '-' || :b::text FOR UPDATE;
SELECT * FROM payments_channel_account
  WHERE institution_id = 'bench-hospital-' || lpad(:h::text, 3, '0') AND channel = 'wechat' AND state = 'active';
SELECT count(*) FROM payments_attempt WHERE order_no = 'B' || :a::text || '-' || :b::text;
INSERT INTO payments_attempt (order_no, attempt_no, part, channel, account_id, scene, amount_fen, state, cause, intent,
                              sends, sent_at, expires_at, created_at, updated_at, next_ask_at, asks)
  VALUES ('B' || :a::text || '-' || :b::text, 'B' || :a::text || '-' || :b::text || 'A01', 'cash', 'wechat',
          'bench-wechat-000', 'native', 6000, 'started', '',
          jsonb_build_object('attempt_no', 'B' || :a::text, 'amount_fen', 6000, 'description', '门诊医疗费',
            'notify_url', 'http://127.0.0.1/notify/wechat/bench-wechat-000', 'scene', 'native', 'part', 'cash',
            'expires_at', now(), 'placed_at', now(), 'client_ip', '127.0.0.1', 'terminal_no', ''),
          1, now(), now() + interval '30 minutes', now(), now(), now() + interval '10 seconds', 0);
INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'attempt', 'B' || :a::text || '-' || :b::text || 'A01', NULL, 'started',
          'wechat-native', now());
UPDATE payments_order SET state = 'paying', version = version + 1, updated_at = now()
  WHERE order_no = 'B' || :a::text || '-' || :b::text AND state = 'created';
INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'order', 'B' || :a::text || '-' || :b::text, 'created', 'paying',
          'B' || :a::text, now());
COMMIT;
UPDATE payments_attempt SET action = '{"qr_text": "weixin://wxpay/bizpayurl?pr=bench"}', updated_at = now()
  WHERE order_no = 'B' || :a::text || '-' || :b::text
    AND attempt_no = 'B' || :a::text || '-' || :b::text || 'A01';
BEGIN;
SELECT * FROM payments_channel_account WHERE account_id = 'bench-wechat-' || lpad(:h::text, 3, '0');
INSERT INTO payments_notice (channel, notice_id, account_id, digest, number, at)
  VALUES ('wechat', :a::text || '-' || :b::text, 'bench-wechat-000', sha256(:a::text::bytea), 'B' || :a::text, now());
SELECT * FROM payments_order WHERE order_no = 'B' || :a::text || '-' || :b::text FOR UPDATE;
SELECT * FROM payments_attempt WHERE order_no = 'B' || :a::text || '-' || :b::text;
UPDATE payments_attempt SET state = 'succeeded', landed = 'order', channel_trade_no = '42' || :a::text,
                            paid_at = now(), next_ask_at = NULL, updated_at = now()
  WHERE order_no = 'B' || :a::text || '-' || :b::text
    AND attempt_no = 'B' || :a::text || '-' || :b::text || 'A01' AND state = 'started';
INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'attempt', 'B' || :a::text || '-' || :b::text || 'A01', 'started',
          'succeeded', 'notice', now());
INSERT INTO payments_ledger_transaction (order_no, movement, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'paid-B' || :a::text, now());
INSERT INTO payments_ledger_entry (order_no, movement, line, account, amount_fen, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'paid-B' || :a::text, 1, 'channel-wechat-bench-hospital-000', 6000,
          now()),
         ('B' || :a::text || '-' || :b::text, 'paid-B' || :a::text, 2, 'hospital-bench-hospital-000-receivable',
          -6000, now());
UPDATE payments_order SET state = 'paid', version = version + 1, updated_at = now(), paid_fen = 6000,
                          paid_attempt_no = 'B' || :a::text, paid_channel = 'wechat',
                          channel_trade_no = '42' || :a::text, paid_at = now()
  WHERE order_no = 'B' || :a::text || '-' || :b::text AND state = 'paying';
INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
  VALUES ('B' || :a::text || '-' || :b::text, 'order', 'B' || :a::text || '-' || :b::text, 'paying', 'paid', 'notice',
          now());
UPDATE payments_attempt SET next_ask_at = now()
  WHERE order_no = 'B' || :a::text || '-' || :b::text AND state IN ('started', 'unknown');
INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at)
  VALUES ('bench', 'B' || :a::text || '-' || :b::text,
          jsonb_build_object('order_no', :a::text, 'institution_id', 'bench-hospital-000', 'source_kind', 'direct',
            'source_id', :b::text, 'state', 'paid', 'version', 3, 'amount_fen', 6000, 'paid_fen', 6000,
            'refunded_fen', 0, 'channel', 'wechat', 'channel_trade_no', '42', 'paid_at', now(), 'at', now(),
            'event', 'order_paid', 'attempt_no', 'B'), now(), now() + interval '1 hour') RETURNING id AS message \gset
COMMIT;
UPDATE kit_outbox SET attempts = attempts + 1, next_at = now() + interval '1 hour' WHERE id = :message;
BEGIN;
SELECT caller_id, webhook_url, secret_sealed FROM access_caller
  WHERE institution_id = 'bench-hospital-' || lpad(:h::text, 3, '0') AND webhook_url IS NOT NULL;
INSERT INTO payments_delivery (order_no, message_id, attempt, topic, receiver, status, cause, took_ms, at)
  VALUES ('B' || :a::text || '-' || :b::text, :message, 1, 'payments.order_paid', 'bench-his-000', 200, '', 1, now());
UPDATE kit_outbox SET state = 'delivered', delivered_at = now(), last_error = NULL WHERE id = :message;
COMMIT;
"""

_TPS = re.compile(r"tps = ([0-9.]+)")


def run(pgbench: Path, url: str, *, hospitals: int, clients: int, seconds: int) -> float:
    """Return orders a second of pgbench with so many clients.

    Raises:
        RuntimeError: pgbench failed; the message has its last lines.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SQL)
        script.flush()
        done = subprocess.run(
            [
                *(str(pgbench), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds)),
                *("-D", f"hospitals={hospitals}", "-f", script.name, url),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    found = _TPS.search(done.stdout)
    if done.returncode or found is None:
        message = "pgbench failed: " + (done.stderr or done.stdout)[-600:]
        raise RuntimeError(message)
    return float(found[1])
