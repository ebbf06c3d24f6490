"""Signed requests of the native API for a benchmark, and the check of their signed answers."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Sequence

import psycopg

from yimatong.access import request_auth


class Prepared:
    """Requests of one round, and what is needed to check their answers."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.signers: list[tuple[bytes, str]] = []

    def add(self, *, path: str, host: str, caller_id: str, secret: bytes, body: bytes) -> None:
        """Sign a POST as ``caller_id``, with a nonce and an idempotency key of its own."""
        now, nonce, idempotency_key = int(time.time()), secrets.token_hex(16), uuid.uuid4().hex
        text = request_auth.request_text(
            method="POST", target=path, timestamp=now, nonce=nonce, bound=idempotency_key, body=body
        )
        authorization = request_auth.header(
            caller_id=caller_id, timestamp=now, nonce=nonce, signature=request_auth.sign(secret, text)
        )
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n"
            f"idempotency-key: {idempotency_key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.requests.append(head.encode() + body)
        self.signers.append((secret, nonce))

    def wrong(self, answers: Sequence[bytes], *, status: int, holds: bytes) -> int:
        """Count answers that are not genuinely signed, of another status, or without ``holds`` in their body."""
        errors = 0
        for (secret, nonce), answer in zip(self.signers, answers, strict=True):
            head, _, body = answer.partition(b"\r\n\r\n")
            headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            text = request_auth.answer_text(
                status=status, timestamp=int(headers.get(b"ymt-timestamp", b"0")), nonce=nonce, body=body
            )
            signed = request_auth.sign(secret, text).encode() == headers.get(b"ymt-signature")
            if not (signed and head.startswith(b"HTTP/1.1 %d" % status) and holds in body):
                errors += 1
        return errors


def percentile(sorted_seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted_seconds[min(int(len(sorted_seconds) * share), len(sorted_seconds) - 1)] * 1000


def settle(url: str) -> None:
    """Give both sides the same start: no dirty pages of the other one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
