"""Cooperative medical care without its HTTP server: the agency's own verbs, signed and verified, in one process.

It settles the insurance part of an order, divided into fund and family account. It sends no notices: it is asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from _payments_cast import HOSPITALS, Cast, ncms_id, secret_hex
from _payments_network import Request
from _payments_parties import LAG_S, Memory, Surroundings

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.http import Answer
from yimatong.sandbox.ncms import wire
from yimatong.sandbox.ncms.agency import Agency
from yimatong.sandbox.ncms.rows import AgencyError, Hospital


class NcmsParty:
    """The agency on the wire."""

    name = "ncms"

    def __init__(self, cast: Cast, around: Surroundings) -> None:
        self.books = Agency(Memory(cast.folder))  # type: ignore[arg-type]
        self._around = around
        for hospital in HOSPITALS:
            number = ncms_id(hospital)
            secret = secret_hex("ncms", hospital, 0)
            self.books.hospitals.put(number, Hospital(app_id=number, secret=secret, institution=number))

    def __call__(self, request: Request) -> Answer:
        """Verify, act, sign; a request that was seen before is refused, as the agency does."""
        hospital = self.books.hospitals.get(request.headers.get("x-app-id", ""))
        if hospital is None:
            return Answer(401, {}, b'{"code":"UNKNOWN_APP"}')
        mac, nonce = HmacSm3(bytes.fromhex(hospital.secret)), request.headers.get("x-nonce", "")
        verb = request.target.rpartition("/")[2]
        self._troubles(verb, request.body)
        try:
            self._verify(request, mac, nonce)
            status, content = 200, wire._acted(self.books, hospital, verb, request.body)  # noqa: SLF001 -- its own verbs
        except AgencyError as error:
            status, content = error.status, msgspec.json.encode({"code": error.code, "message": error.message})
        self.books.faults = type(self.books.faults)()
        self._follow()
        return Answer(status, {"x-sign": mac.digest(f"{status}\n{nonce}\n".encode() + content).hex()}, content)

    def _verify(self, request: Request, mac: HmacSm3, nonce: str) -> None:
        stamp, sign = request.headers.get("x-timestamp", ""), request.headers.get("x-sign", "")
        signed = f"POST\n{request.target}\n{stamp}\n{nonce}\n".encode() + request.body
        try:
            mac.verify(signed, bytes.fromhex(sign))
        except (ValueError, SignatureInvalid) as error:
            raise AgencyError(401, "NOT_SIGNED", "签名不正确") from error
        if nonce in self.books.nonces:
            raise AgencyError(401, "TOO_OLD", "请求已过期或重复")
        self.books.nonces[nonce] = self._around.loop.moment()

    def _troubles(self, verb: str, body: bytes) -> None:
        """Let this request meet what the simulator can do."""
        chance, faults = self._around.chance, self.books.faults
        if verb == "settle":
            dice = chance.random.random()
            faults.settles_later, faults.refuses_split = int(dice > 0.7), int(dice < 0.05)
            faults.split_changes = int(0.05 < dice < 0.1)
        elif verb == "query":
            asked: Any = msgspec.json.decode(body)
            found = self.books.settlements.get(f"{asked.get('institution')}/{asked.get('attempt_no')}")
            recent = self._around.loop.moment() - timedelta(seconds=LAG_S)
            if found is not None and found.settled_at and found.settled_at > recent:
                faults.read_lag = int(chance.strikes(15))
        elif verb == "refund":
            faults.refund_fails = int(chance.strikes(17))

    def _follow(self) -> None:
        for each in self.books.settlements:
            if each.state == "settling" and each.attempt_no not in self._around.never_lost:
                self._around.never_lost.add(each.attempt_no)
                self._around.later(self._around.settles_in(), self._finish, each.attempt_no)

    def _finish(self, attempt_no: str) -> None:
        try:
            self.books.finish(attempt_no)
        except AgencyError:
            return  # it was cancelled meanwhile
        self._around.chance.note(f"{self._around.loop.time():.3f} ncms {attempt_no} settled")
