r"""The signature: HMAC-SM3 (GB/T 32905, GB/T 15852.2) over a request's parts, each followed by a line feed.

``METHOD\nPATH?QUERY\nTIMESTAMP\nNONCE\nIDEMPOTENCY_KEY\nBODY\n`` for a request, and
``STATUS\nTIMESTAMP\nREQUEST_NONCE\nBODY\n`` for an answer.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping

from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

from yimatong_sdk.errors import AnswerNotGenuine


class Signer:
    """Signs requests of one caller and checks the answers to them."""

    def __init__(self, caller_id: str, secret_hex: str) -> None:
        """Keep the caller's id and its key (64 hex characters)."""
        self.caller_id = caller_id
        self._secret = bytes.fromhex(secret_hex)

    def headers(
        self, method: str, target: str, body: bytes, *, idempotency_key: str = ""
    ) -> tuple[dict[str, str], str]:
        """Return the headers to send and the nonce in them. ``target`` is path and query as sent."""
        timestamp, nonce = int(time.time()), secrets.token_hex(16)
        text = f"{method}\n{target}\n{timestamp}\n{nonce}\n{idempotency_key}\n".encode() + body + b"\n"
        signature = self._mac(text)
        headers = {
            "authorization": f"YMT-HMAC-SM3 caller_id={self.caller_id},timestamp={timestamp},"
            f"nonce={nonce},signature={signature}"
        }
        if idempotency_key:
            headers["idempotency-key"] = idempotency_key
        return headers, nonce

    def check_answer(self, status: int, headers: Mapping[str, str], body: bytes, *, nonce: str) -> None:
        """Check that an answer is the platform's, for the request of ``nonce``.

        Raises:
            AnswerNotGenuine: unsigned, or the signature does not hold.
        """
        text = f"{status}\n{headers.get('ymt-timestamp', '')}\n{nonce}\n".encode() + body + b"\n"
        if not hmac.compare_digest(self._mac(text), headers.get("ymt-signature", "")):
            message = "the answer is not signed by the platform"
            raise AnswerNotGenuine(message)

    def _mac(self, text: bytes) -> str:
        code = HMAC(self._secret, SM3())
        code.update(text)
        return code.finalize().hex()
