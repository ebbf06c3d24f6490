"""A simulated commercial insurer (商保快赔), written from docs/spec/commercial-insurance.md.

It holds policies. Of a bill it covers the lines that are not at the payer's own expense (自费), less what is left of
the deductible, times its rate, up to what is left of the sum insured. A claim must carry out a pre-settlement.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec.structs import replace

from yimatong.kit.clock import business_date, rfc3339
from yimatong.sandbox.settling import control, wire
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import Asked, Code, Fen, Number, Payment, Refused
from yimatong.sandbox.settling.wire import Wire, answer, asked_of
from yimatong.sandbox.store import Store

HOLDS = timedelta(minutes=30)
"""How long a pre-settlement can be claimed."""
OWN_EXPENSE = "自费"


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy: who is insured, what it pays, and until when."""

    policy_no: Number
    name: str
    id_number: str
    rate_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 80
    deductible_left_fen: int = 0
    left_fen: int = 5_000_000
    until: date = date(2099, 12, 31)


class Insured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bill it is."""

    name: str
    id_type: str
    id_number: str
    policy_no: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a bill."""

    name: str
    code: str = ""
    quantity: int = 1
    amount_fen: int


class AskPresettle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bill that the insurer is asked about."""

    merchant_id: Number
    leg_no: Number
    order_no: str
    visit_no: str
    description: str
    amount_fen: Fen
    placed_at: datetime
    lines: list[Line]
    insured: Insured


class Presettlement(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to a bill."""

    merchant_id: str
    leg_no: str
    presettle_no: str
    policy_no: str
    covered_fen: int
    deductible_fen: int
    digest: str
    expires_at: datetime
    claimed_by: str = ""
    """The number of the claim that carried it out; it is carried out once."""

    def shown(self) -> dict[str, Any]:
        """Return the JSON of the answer."""
        return {
            "leg_no": self.leg_no,
            "merchant_id": self.merchant_id,
            "presettle_no": self.presettle_no,
            "covered_fen": self.covered_fen,
            "expires_at": rfc3339(self.expires_at),
        }


class AskClaim(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim: the payment, and the pre-settlement that it carries out."""

    presettle_no: str
    components: dict[str, int]


class Commercial(Books):
    """The insurer's books."""

    name = "commercial"

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        super().__init__(store)
        self.policies = store.table("commercial.policies", Policy)
        self.presettlements = store.table("commercial.presettlements", Presettlement)

    def presettle(self, asked: AskPresettle, *, now: datetime) -> Presettlement:
        """Say what would be paid; the same question again has the same answer.

        Raises:
            Refused: ``POLICY_UNKNOWN``, ``POLICY_EXPIRED``, ``NOT_COVERED``, ``NUMBER_USED``, ``BAD_REQUEST``.
        """
        digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
        key = f"{asked.merchant_id}/{asked.leg_no}"
        known = self.presettlements.get(key)
        if known is not None:
            if known.digest != digest:
                raise Refused(Code.NUMBER_USED, "leg_no was used for another bill")
            return known
        if sum(line.amount_fen for line in asked.lines) != asked.amount_fen:
            raise Refused(Code.BAD_REQUEST, "the lines do not add up to the bill")
        policy = self._policy(asked.insured)
        if business_date(now) > policy.until:
            raise Refused(Code.POLICY_EXPIRED, "the policy has ended")
        insured_fen = sum(line.amount_fen for line in asked.lines if OWN_EXPENSE not in line.name)
        deductible_fen = min(policy.deductible_left_fen, insured_fen)
        covered_fen = min(policy.left_fen, (insured_fen - deductible_fen) * policy.rate_percent // 100)
        if covered_fen <= 0:
            raise Refused(Code.NOT_COVERED, "nothing of this bill is covered")
        made = Presettlement(
            merchant_id=asked.merchant_id,
            leg_no=asked.leg_no,
            presettle_no=f"PS{secrets.token_hex(12).upper()}",
            policy_no=policy.policy_no,
            covered_fen=covered_fen,
            deductible_fen=deductible_fen,
            digest=digest,
            expires_at=now + HOLDS,
        )
        self.presettlements.put(key, made)
        return made

    def judge(self, asked: Asked, *, now: datetime) -> tuple[str, str, dict[str, int]]:
        """Decline a claim without a pre-settlement that holds and is unused, of another amount, or beyond the sum."""
        wanted = asked.presettle_no if isinstance(asked, AskClaim) else ""
        found = next((each for each in self.presettlements if each.presettle_no == wanted), None)
        if not isinstance(asked, AskClaim) or found is None or found.merchant_id != asked.merchant_id:
            return "PRESETTLE_UNKNOWN", "", {}
        if found.claimed_by:
            return "PRESETTLE_USED", found.policy_no, {}
        if now > found.expires_at:
            return "PRESETTLE_EXPIRED", found.policy_no, {}
        if asked.amount_fen != found.covered_fen or asked.components != {"claim_fen": found.covered_fen}:
            return "AMOUNT_DIFFERS", found.policy_no, {}
        policy = self.policies.get(found.policy_no)
        if policy is None or policy.left_fen < asked.amount_fen:
            return "NOT_COVERED", found.policy_no, {}
        used = replace(found, claimed_by=asked.payment_no)
        self.presettlements.put(f"{used.merchant_id}/{used.leg_no}", used)
        left_fen = max(policy.deductible_left_fen - found.deductible_fen, 0)
        self.policies.put(policy.policy_no, replace(policy, deductible_left_fen=left_fen))
        return "", found.policy_no, asked.components

    def moved(self, payment: Payment, fen: int) -> None:
        """Use up, or give back, a part of the sum insured."""
        policy = self.policies.get(payment.payer)
        if policy is not None:
            self.policies.put(policy.policy_no, replace(policy, left_fen=policy.left_fen - fen))

    def released(self, payment: Payment) -> None:
        """Give back the sum insured, and the pre-settlement to be claimed again."""
        super().released(payment)
        found = next((each for each in self.presettlements if each.claimed_by == payment.payment_no), None)
        if found is not None and found.merchant_id == payment.merchant_id:
            self.presettlements.put(f"{found.merchant_id}/{found.leg_no}", replace(found, claimed_by=""))

    def _policy(self, insured: Insured) -> Policy:
        fits = [
            policy
            for policy in self.policies
            if (policy.name, policy.id_number) == (insured.name, insured.id_number)
            and insured.policy_no in ("", policy.policy_no)
        ]
        if fits:
            return fits[0]
        if not self.conditions.auto_fen or insured.policy_no:
            raise Refused(Code.POLICY_UNKNOWN, "no policy of this person")
        number = f"PO{secrets.token_hex(8).upper()}"
        made = Policy(
            policy_no=number, name=insured.name, id_number=insured.id_number, left_fen=self.conditions.auto_fen
        )
        self.policies.put(number, made)
        return made


def of(request: Wire) -> Commercial:
    """Return the insurer of a request."""
    found: Commercial = request.app.state.commercial
    return found


@post("/commercial/v1/presettle", status_code=200)
async def presettle(request: Wire) -> Response[bytes]:
    """Say what would be paid of a bill."""
    insurer = of(request)

    def act(body: bytes, now: datetime) -> dict[str, Any]:
        return {"presettlement": insurer.presettle(asked_of(body, AskPresettle), now=now).shown()}

    return await answer(request, insurer, act)


@post("/control/commercial/policies", status_code=200)
async def insure(request: Wire, data: JSONBody[Policy]) -> Policy:
    """Write a policy, or change one."""
    of(request).policies.put(data.policy_no, data)
    await of(request).store.flush()
    return data


@get("/control/commercial/policies")
async def policies(request: Wire) -> list[Policy]:
    """Show every policy."""
    return list(of(request).policies)


HANDLERS: list[HTTPRouteHandler] = [
    presettle,
    *wire.handlers(of, prefix="/commercial", noun="claims", question=AskClaim),
]
CONTROL: list[HTTPRouteHandler] = [insure, policies, *control.controls(of, name="commercial")]
