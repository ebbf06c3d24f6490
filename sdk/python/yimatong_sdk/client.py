"""The client: one method an operation, plain dictionaries in and out."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from yimatong_sdk.care import CareCalls
from yimatong_sdk.errors import ApiError, PlatformUnreachable
from yimatong_sdk.payments import PaymentCalls
from yimatong_sdk.signing import Signer

_UNSIGNED = frozenset({401, 403, 413, 503, 504})
"""Answers that may come from the door, before the caller is known, and so unsigned."""

_HTTP_ERROR = 400
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)


class Client(CareCalls, PaymentCalls):
    """A caller of the platform: an app, an institution's system or a reading terminal.

    Every write carries an idempotency key; a call that got no answer is sent again with the same key and a fresh nonce,
    so it takes effect once.
    """

    def __init__(
        self,
        base_url: str,
        *,
        caller_id: str,
        secret_hex: str,
        timeout_s: float = 10.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare the connection; ``base_url`` is a front's or the core's address."""
        self._signer = Signer(caller_id, secret_hex)
        self._retries = retries
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, trust_env=False, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: str, target: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Make one call and return the decoded answer.

        Raises:
            ApiError: the platform refused. AnswerNotGenuine: the answer is not the platform's.
            PlatformUnreachable: no answer after the retries.
        """
        content = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        key = "" if method == "GET" else idempotency_key or uuid.uuid4().hex
        for pause_s in (*_PAUSES_S[: self._retries], None):
            try:
                return self._once(method, target, content, key)
            except (httpx.TransportError, ApiError) as error:
                if isinstance(error, ApiError) and not error.retryable:
                    raise
                if pause_s is None:
                    if isinstance(error, ApiError):
                        raise
                    raise PlatformUnreachable(str(error) or type(error).__name__) from error
            time.sleep(pause_s)
        raise AssertionError

    def _once(self, method: str, target: str, content: bytes, key: str) -> Any:
        headers, nonce = self._signer.headers(method, target, content, idempotency_key=key)
        if content:
            headers["content-type"] = "application/json"
        reply = self._http.request(method, target, content=content, headers=headers)
        if "ymt-signature" in reply.headers or reply.status_code not in _UNSIGNED:
            self._signer.check_answer(reply.status_code, reply.headers, reply.content, nonce=nonce)
        if reply.status_code >= _HTTP_ERROR or reply.headers.get("content-type", "").startswith("application/problem"):
            raise _api_error(reply)
        return reply.json() if reply.content else None

    def register_account(
        self,
        resident: Mapping[str, str],
        *,
        real_name: str,
        proof: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Register a resident and return the card account; the same resident again gives the same account.

        ``proof`` goes with ``bank_online`` (bank_card, bank_phone) and ``insurance_online`` (insurance_card).
        """
        body: dict[str, Any] = {"resident": dict(resident), "real_name": real_name}
        body |= {} if proof is None else {"proof": dict(proof)}
        return self.call("POST", "/api/v1/accounts", body, idempotency_key=idempotency_key)

    def read_account(self, vuid: str) -> Any:
        """Return an account that this caller holds."""
        return self.call("GET", f"/api/v1/accounts/{vuid}")

    def change_account_state(self, vuid: str, state: str, *, idempotency_key: str | None = None) -> Any:
        """Set an account ``active``, ``frozen`` or ``cancelled``."""
        return self.call("POST", f"/api/v1/accounts/{vuid}/state", {"state": state}, idempotency_key=idempotency_key)

    def start_bank_card(
        self, vuid: str, number: str, *, phone: str | None = None, idempotency_key: str | None = None
    ) -> Any:
        """Begin to bind a bank card; ``phone`` is the one that the bank knows, if not the resident's own."""
        body = {"number": number} | ({} if phone is None else {"phone": phone})
        return self.call("POST", f"/api/v1/accounts/{vuid}/bank-cards", body, idempotency_key=idempotency_key)

    def confirm_bank_card(
        self,
        vuid: str,
        binding_id: str,
        *,
        code: str | None = None,
        amount_fen: int | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Hand in what the bank sent: the code of an SMS, or the small amount in fen."""
        body = {name: value for name, value in (("code", code), ("amount_fen", amount_fen)) if value is not None}
        target = f"/api/v1/accounts/{vuid}/bank-cards/{binding_id}/confirm"
        return self.call("POST", target, body, idempotency_key=idempotency_key)

    def bank_cards(self, vuid: str) -> Any:
        """List the bank cards of an account, masked."""
        return self.call("GET", f"/api/v1/accounts/{vuid}/bank-cards")

    def choose_default_bank_card(self, vuid: str, binding_id: str, *, idempotency_key: str | None = None) -> Any:
        """Make a bound bank card the default one."""
        target = f"/api/v1/accounts/{vuid}/bank-cards/{binding_id}/default"
        return self.call("POST", target, idempotency_key=idempotency_key)

    def unbind_bank_card(
        self,
        vuid: str,
        binding_id: str,
        *,
        id_type: str,
        id_number: str,
        number: str,
        idempotency_key: str | None = None,
    ) -> Any:
        """Take a bank card off; certificate and whole card number prove it."""
        body = {"id_type": id_type, "id_number": id_number, "number": number}
        target = f"/api/v1/accounts/{vuid}/bank-cards/{binding_id}/unbind"
        return self.call("POST", target, body, idempotency_key=idempotency_key)

    def bind_insurance_card(
        self, vuid: str, number: str, *, password: str, kind: str = "social_card", idempotency_key: str | None = None
    ) -> Any:
        """Bind a ``social_card`` (社保卡) or a ``cooperative_card`` (合疗证); the insurer checks the password."""
        body = {"kind": kind, "number": number, "password": password}
        return self.call("POST", f"/api/v1/accounts/{vuid}/insurance-cards", body, idempotency_key=idempotency_key)

    def insurance_cards(self, vuid: str) -> Any:
        """List the insurance cards of an account: kind of insurance and place, numbers masked."""
        return self.call("GET", f"/api/v1/accounts/{vuid}/insurance-cards")

    def unbind_insurance_card(
        self,
        vuid: str,
        binding_id: str,
        *,
        id_type: str,
        id_number: str,
        number: str,
        idempotency_key: str | None = None,
    ) -> Any:
        """Take an insurance card off; certificate and whole card number prove it."""
        body = {"id_type": id_type, "id_number": id_number, "number": number}
        target = f"/api/v1/accounts/{vuid}/insurance-cards/{binding_id}/unbind"
        return self.call("POST", target, body, idempotency_key=idempotency_key)

    def make_page_link(self, vuid: str, *, idempotency_key: str | None = None) -> Any:
        """Return a one-time link to the resident's own card page."""
        return self.call("POST", f"/api/v1/accounts/{vuid}/page-links", idempotency_key=idempotency_key)

    def issue_code(
        self,
        vuid: str,
        *,
        kind: str = "dynamic",
        code_class: str = "general",
        ttl_s: int | None = None,
        image: str = "none",
        idempotency_key: str | None = None,
    ) -> Any:
        """Issue a static, dynamic or offline code; ``code_class`` is general, visit, records or payment."""
        body: dict[str, Any] = {"vuid": vuid, "kind": kind, "code_class": code_class, "image": image}
        body |= {} if ttl_s is None else {"ttl_s": ttl_s}
        return self.call("POST", "/api/v1/codes", body, idempotency_key=idempotency_key)

    def verify_code(
        self,
        code: str,
        *,
        purpose: str,
        med_step: str = "000000",
        visit_no: str = "",
        idempotency_key: str | None = None,
    ) -> Any:
        """Verify and use up a code for a purpose; returns the resident and the record of the use.

        ``visit_no`` matters where a code may be used several times within one visit.
        """
        body = {"code": code, "purpose": purpose, "med_step": med_step, "visit_no": visit_no}
        return self.call("POST", "/api/v1/codes/verify", body, idempotency_key=idempotency_key)

    def revoke_codes(self, vuid: str, *, idempotency_key: str | None = None) -> Any:
        """Revoke every dynamic code of an account that was issued so far."""
        return self.call("POST", "/api/v1/codes/revoke", {"vuid": vuid}, idempotency_key=idempotency_key)

    def offline_bundle(self) -> Any:
        """Return the keys and revocations by which ``offline.OfflineReader`` reads codes for a day."""
        return self.call("GET", "/api/v1/codes/offline")

    def upload_offline_uses(self, seen: Sequence[Mapping[str, str]], *, idempotency_key: str | None = None) -> Any:
        """Tell what was accepted without the network, 200 at most; each is recorded once however often it is told."""
        body = {"seen": [dict(each) for each in seen]}
        return self.call("POST", "/api/v1/codes/offline-uses", body, idempotency_key=idempotency_key)

    def identify(self, purpose: str, *, idempotency_key: str | None = None, **medium: str) -> Any:
        """Return the resident behind exactly one medium.

        ``code`` | ``card_number`` and ``card_type`` | ``chip_number`` | ``id_type``, ``id_number`` and ``name``.
        """
        body = {"purpose": purpose, **medium}
        return self.call("POST", "/api/v1/identify", body, idempotency_key=idempotency_key)

    def register_person(
        self,
        source: Mapping[str, str],
        resident: Mapping[str, Any],
        *,
        identifiers: Sequence[Mapping[str, str]] = (),
        real_name: str = "stated",
        idempotency_key: str | None = None,
    ) -> Any:
        """Register a record in the person index; the same ``source`` (domain, number) again updates the same record.

        ``real_name`` is ``certificate_read``, ``window`` or ``stated``. The answer's ``outcome``: created, linked,
        review (a steward judges), updated.
        """
        body: dict[str, Any] = {"source": dict(source), "resident": dict(resident), "real_name": real_name}
        body["identifiers"] = [dict(each) for each in identifiers]
        return self.call("POST", "/api/v1/persons", body, idempotency_key=idempotency_key)

    def resolve(
        self, domain: str, number: str, *, targets: Sequence[str] = (), idempotency_key: str | None = None
    ) -> Any:
        """Return whose number it is and her numbers in the domains ``targets``; without any, in all (PIX)."""
        body = {"source": {"domain": domain, "number": number}, "targets": list(targets)}
        return self.call("POST", "/api/v1/cross-indexes/resolve", body, idempotency_key=idempotency_key)

    def search_persons(self, **facts: Any) -> Any:
        """Return a page of persons whom every fact fits, best first; at least one fact must be selective.

        ``name`` (with ``name_match`` exact, pinyin or part), ``id_number``, ``phone``, ``born_from``, ``born_to``,
        ``address``, ``identifiers`` ...; ``cursor`` is the ``next_cursor`` of the page before.
        """
        return self.call("POST", "/api/v1/persons/search", facts)

    def match_person(
        self,
        resident: Mapping[str, Any],
        *,
        identifiers: Sequence[Mapping[str, str]] = (),
        only_certain: bool = False,
        count: int = 20,
    ) -> Any:
        """Return who the facts may be about, the likeliest first, with probability, grade and evidence."""
        body = {"resident": dict(resident), "only_certain": only_certain, "count": count}
        body["identifiers"] = [dict(each) for each in identifiers]
        return self.call("POST", "/api/v1/persons/match", body)

    def read_person(self, mpi_ref: str) -> Any:
        """Return the golden record of a person, by this caller's reference."""
        return self.call("GET", f"/api/v1/persons/{mpi_ref}")

    def subscribe(self, scope: str, url: str, *, idempotency_key: str | None = None, **which: Any) -> Any:
        """Ask to be told of changes at ``url``; ``scope`` is person, domain or all.

        ``which``: ``mpi_ref`` or ``domain``, ``events``, ``payload`` (native, fhir-json, fhir-xml).
        """
        body = {"scope": scope, "url": url, **which}
        return self.call("POST", "/api/v1/person-subscriptions", body, idempotency_key=idempotency_key)

    def convert_visit_card(
        self, number: str, resident: Mapping[str, str], *, real_name: str = "stated", idempotency_key: str | None = None
    ) -> Any:
        """Make a visit card of this institution an electronic card; the same again gives the same card."""
        body = {"visit_card": number, "resident": dict(resident), "real_name": real_name}
        return self.call("POST", "/api/v1/visit-cards", body, idempotency_key=idempotency_key)

    def find_visit_card(self, number: str) -> Any:
        """Return the electronic card behind a visit card of this institution."""
        return self.call("POST", "/api/v1/visit-cards/find", {"visit_card": number})

    def print_label(self, vuid: str, *, idempotency_key: str | None = None, **wishes: str) -> Any:
        """Print a label; ``wishes``: symbology, size, form (pdf or svg), verification_id."""
        return self.call("POST", "/api/v1/labels", {"vuid": vuid, **wishes}, idempotency_key=idempotency_key)

    def labels(self, vuid: str) -> Any:
        """List the labels of an account, newest first."""
        return self.call("GET", f"/api/v1/accounts/{vuid}/labels")

    def revoke_label(self, serial: str, vuid: str, *, reason: str = "lost", idempotency_key: str | None = None) -> Any:
        """Revoke one label: ``lost``, ``torn``, ``misprinted`` or ``other``."""
        body = {"vuid": vuid, "reason": reason}
        return self.call("POST", f"/api/v1/labels/{serial}/revoke", body, idempotency_key=idempotency_key)

    def issue_physical_card(self, card: Mapping[str, Any], *, idempotency_key: str | None = None) -> Any:
        """Register a physical card that this institution gives out."""
        return self.call("POST", "/api/v1/physical-cards", dict(card), idempotency_key=idempotency_key)

    def find_physical_card(self, **medium: str) -> Any:
        """Find a physical card by what is on it."""
        return self.call("POST", "/api/v1/physical-cards/find", medium)

    def physical_cards(self, vuid: str) -> Any:
        """List the physical cards of an account."""
        return self.call("GET", f"/api/v1/accounts/{vuid}/physical-cards")

    def change_physical_card(
        self, card_id: str, change: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Any:
        """Change the state of a physical card: report it lost, take it back, and so on."""
        target = f"/api/v1/physical-cards/{card_id}/state"
        return self.call("POST", target, dict(change), idempotency_key=idempotency_key)


def _api_error(reply: httpx.Response) -> ApiError:
    try:
        problem = reply.json()
    except ValueError:
        problem = {}
    return ApiError(
        http_status=reply.status_code,
        code=str(problem.get("code", "")),
        detail=str(problem.get("detail", reply.text[:200])),
        request_id=str(problem.get("request_id", "")),
        retryable=bool(problem.get("retryable", reply.status_code in _UNSIGNED)),
    )
