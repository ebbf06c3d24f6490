"""The agency's books and the verbs that change them. Every verb is synchronous and takes ``now``."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import day_bounds, rfc3339
from yimatong.sandbox.ncms.rows import (
    About,
    AboutRefund,
    AgencyError,
    Bill,
    Claim,
    Faults,
    GiveBack,
    GivenBack,
    Hospital,
    Member,
    Presettle,
    Settle,
    Settlement,
    Who,
)
from yimatong.sandbox.store import Store

CLAIM_TTL = timedelta(minutes=30)


class Agency:
    """The agency's books."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.faults = Faults()
        self.hospitals = store.table("ncms.hospitals", Hospital)
        self.members = store.table("ncms.members", Member)
        self.claims = store.table("ncms.claims", Claim)
        self.settlements = store.table("ncms.settlements", Settlement)
        self.refunds = store.table("ncms.refunds", GivenBack)
        self.nonces: dict[str, datetime] = {}
        self.closed_days: set[date] = set()

    def presettle(self, asked: Presettle, *, now: datetime) -> dict[str, Any]:
        """Divide a bill; the same question again has the same answer."""
        digest = msgspec.json.encode(asked).hex()
        claim = next((each for each in self.claims if (each.institution, each.leg_no) == _key(asked)), None)
        if claim is not None and claim.digest != digest:
            raise AgencyError(409, "NUMBER_REUSED", "leg_no 已用于另一笔费用")
        if sum(line.amount_fen for line in asked.lines) != asked.total_fen or asked.total_fen == 0:
            raise AgencyError(400, "LINES_DO_NOT_ADD_UP", "费用明细合计与总额不一致")
        member = self._member(asked.member)
        if claim is None:
            fund_fen = asked.total_fen * member.fund_percent // 100
            rest_fen = asked.total_fen - fund_fen
            claim = Claim(
                claim_no=f"NC{secrets.token_hex(10).upper()}",
                leg_no=asked.leg_no,
                institution=asked.institution,
                id_number=member.id_number,
                total_fen=asked.total_fen,
                fund_fen=fund_fen,
                account_fen=min(rest_fen * member.account_percent // 100, member.account_fen),
                expires_at=now + CLAIM_TTL,
                digest=digest,
            )
            self.claims.put(claim.claim_no, claim)
        return {
            "claim_no": claim.claim_no,
            "leg_no": claim.leg_no,
            "total_fen": claim.total_fen,
            "fund_fen": claim.fund_fen,
            "account_fen": claim.account_fen,
            "own_fen": claim.total_fen - claim.fund_fen - claim.account_fen,
            "member_no": f"M{claim.id_number[-8:]}",
            "expires_at": rfc3339(claim.expires_at),
        }

    def settle(self, asked: Settle, *, now: datetime) -> dict[str, Any]:
        """Settle a claim once, with the promised split and no other."""
        claim = self._claim(asked)
        known = self.settlements.get(f"{asked.institution}/{asked.attempt_no}")
        if known is not None:
            if known.claim_no != asked.claim_no:
                raise AgencyError(409, "NUMBER_REUSED", "attempt_no 已用于另一笔结算")
            return self.shown(known)
        if claim.settled_by:
            raise AgencyError(409, "CLAIM_SETTLED", "该预结算已结算")
        if now > claim.expires_at:
            raise AgencyError(409, "CLAIM_EXPIRED", "预结算已过期")
        member = self.members.get(claim.id_number)
        promised = (asked.fund_fen, asked.account_fen)
        if member is None or promised != (claim.fund_fen, claim.account_fen) or member.account_fen < claim.account_fen:
            raise AgencyError(409, "SPLIT_CHANGED", "待遇已变化，请重新预结算")
        if self.faults.strikes("refuses_split"):
            raise AgencyError(409, "SPLIT_CHANGED", "待遇已变化，请重新预结算")
        self.claims.put(claim.claim_no, replace(claim, settled_by=asked.attempt_no))
        extra_fen = 1 if self.faults.strikes("split_changes") else 0
        made = Settlement(
            attempt_no=asked.attempt_no,
            claim_no=claim.claim_no,
            institution=asked.institution,
            state="settling" if self.faults.strikes("settles_later") else "settled",
            settlement_no=f"NS{secrets.token_hex(10).upper()}",
            fund_fen=claim.fund_fen + extra_fen,
            account_fen=claim.account_fen,
            settled_at=now,
        )
        self.members.put(member.id_number, replace(member, account_fen=member.account_fen - claim.account_fen))
        self._save(made)
        return self.shown(made)

    def query(self, asked: About, *, now: datetime) -> dict[str, Any]:
        """Say how a settlement stands."""
        del now
        self._claim(asked)
        found = self.settlements.get(f"{asked.institution}/{asked.attempt_no}")
        if found is None:
            return {"attempt_no": asked.attempt_no, "claim_no": asked.claim_no, "state": "absent"}
        if self.faults.strikes("read_lag"):
            return {"attempt_no": asked.attempt_no, "claim_no": asked.claim_no, "state": found.before}
        return self.shown(found)

    def cancel(self, asked: About, *, now: datetime) -> dict[str, Any]:
        """Make an attempt unpayable; one that has not come yet is refused when it comes."""
        claim, key = self._claim(asked), f"{asked.institution}/{asked.attempt_no}"
        found = self.settlements.get(key)
        if found is None:
            found = Settlement(
                attempt_no=asked.attempt_no, claim_no=claim.claim_no, institution=asked.institution, state="cancelled"
            )
            self._save(found)
        elif found.state in ("settled", "refunded", "settling"):
            wrong = (found.fund_fen, found.account_fen) != (claim.fund_fen, claim.account_fen)
            if found.state != "settling" and not (asked.undo and wrong):
                raise AgencyError(409, "ALREADY_SETTLED", "已结算，不能撤销")
            self._give(found, found.account_fen)
            found = replace(found, state="cancelled", before=found.state)
            self.claims.put(claim.claim_no, replace(claim, settled_by=""))
            self._save(found)
        del now
        return self.shown(found)

    def refund(self, asked: GiveBack, *, now: datetime) -> dict[str, Any]:
        """Give back; the same number again moves nothing more."""
        key = f"{asked.institution}/{asked.refund_no}"
        known = self.refunds.get(key)
        if known is not None:
            if (known.attempt_no, known.fund_fen, known.account_fen) != (
                asked.attempt_no,
                asked.fund_fen,
                asked.account_fen,
            ):
                raise AgencyError(409, "NUMBER_REUSED", "refund_no 已用于另一笔退款")
            return _refund_shown(known)
        found = self.settlements.get(f"{asked.institution}/{asked.attempt_no}")
        if found is None or found.state not in ("settled", "refunded") or found.claim_no != asked.claim_no:
            raise AgencyError(409, "NOT_SETTLED", "未结算，不能退")
        gone = [each for each in self.refunds if each.attempt_no == found.attempt_no and each.state == "done"]
        left = (found.fund_fen - sum(g.fund_fen for g in gone), found.account_fen - sum(g.account_fen for g in gone))
        if asked.fund_fen > left[0] or asked.account_fen > left[1] or asked.fund_fen + asked.account_fen == 0:
            raise AgencyError(409, "EXCEEDS_SETTLED", "退款超过已结算金额")
        made = GivenBack(
            refund_no=asked.refund_no,
            attempt_no=asked.attempt_no,
            institution=asked.institution,
            fund_fen=asked.fund_fen,
            account_fen=asked.account_fen,
            state="failed" if self.faults.strikes("refund_fails") else "done",
            agency_refund_no=f"NR{secrets.token_hex(10).upper()}",
            done_at=now,
        )
        self.refunds.put(key, made)
        if made.state == "done":
            self._give(found, made.account_fen)
            self._save(replace(found, state="refunded", before=found.state))
        return _refund_shown(made)

    def refund_query(self, asked: AboutRefund, *, now: datetime) -> dict[str, Any]:
        """Say how a refund stands."""
        del now
        found = self.refunds.get(f"{asked.institution}/{asked.refund_no}")
        return {"refund_no": asked.refund_no, "state": "absent"} if found is None else _refund_shown(found)

    def bill(self, asked: Bill, *, now: datetime) -> list[dict[str, Any]]:
        """Return the rows of a day, in the order of time."""
        start, end = day_bounds(asked.day)
        if now < end and asked.day not in self.closed_days:
            raise AgencyError(409, "BILL_NOT_READY", "当日账单尚未生成")
        rows: list[tuple[datetime, dict[str, Any]]] = []
        for each in self.settlements:
            at = each.settled_at
            if each.institution != asked.institution or each.state not in ("settled", "refunded"):
                continue
            if at is not None and start <= at < end:
                rows.append((at, {"kind": "settlement", "at": rfc3339(at)} | self.shown(each)))
        for back in self.refunds:
            if back.institution == asked.institution and back.state == "done" and start <= back.done_at < end:
                row = {"kind": "refund", "at": rfc3339(back.done_at), "attempt_no": back.attempt_no}
                rows.append((back.done_at, row | _refund_shown(back)))
        return [row for _, row in sorted(rows, key=lambda pair: pair[0])]

    def finish(self, attempt_no: str) -> Settlement:
        """Bring a settlement that is under way to its end."""
        found = next((each for each in self.settlements if each.attempt_no == attempt_no), None)
        if found is None or found.state != "settling":
            raise AgencyError(404, "NOT_SETTLING", "no such settlement under way")
        done = replace(found, state="settled", before="settling")
        self._save(done)
        return done

    @staticmethod
    def shown(found: Settlement) -> dict[str, Any]:
        """Return a settlement as it is answered."""
        facts: dict[str, Any] = {"attempt_no": found.attempt_no, "claim_no": found.claim_no, "state": found.state}
        if found.state in ("settled", "refunded") and found.settled_at is not None:
            facts |= {
                "settlement_no": found.settlement_no,
                "fund_fen": found.fund_fen,
                "account_fen": found.account_fen,
                "settled_at": rfc3339(found.settled_at),
            }
        return facts

    def _member(self, who: Who) -> Member:
        known = self.members.get(who.id_number)
        if known is None and "假" not in who.name:
            known = Member(id_number=who.id_number, name=who.name, card_no=who.card_no)
            self.members.put(known.id_number, known)
        if known is None or known.name != who.name or (who.card_no and known.card_no not in ("", who.card_no)):
            raise AgencyError(409, "NOT_A_MEMBER", "未参合")
        return known

    def _claim(self, asked: Settle | About) -> Claim:
        claim = self.claims.get(asked.claim_no)
        if claim is None or claim.institution != asked.institution:
            raise AgencyError(404, "NO_SUCH_CLAIM", "预结算不存在")
        return claim

    def _give(self, settlement: Settlement, account_fen: int) -> None:
        claim = self.claims.get(settlement.claim_no)
        member = self.members.get(claim.id_number) if claim is not None else None
        if member is not None:
            self.members.put(member.id_number, replace(member, account_fen=member.account_fen + account_fen))

    def _save(self, settlement: Settlement) -> None:
        self.settlements.put(f"{settlement.institution}/{settlement.attempt_no}", settlement)


def _key(asked: Presettle) -> tuple[str, str]:
    return asked.institution, asked.leg_no


def _refund_shown(found: GivenBack) -> dict[str, Any]:
    return {
        "refund_no": found.refund_no,
        "state": found.state,
        "fund_fen": found.fund_fen,
        "account_fen": found.account_fen,
        "agency_refund_no": found.agency_refund_no,
        "done_at": rfc3339(found.done_at),
    }
