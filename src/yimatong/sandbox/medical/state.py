"""The books of the simulated insurance: institutions, orders of the mobile centre, settlements of both interfaces.

Every verb is synchronous and takes ``now``; it notes its changes in the store, and the edge flushes before it answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.medical.faults import Faults
from yimatong.sandbox.medical.people import People
from yimatong.sandbox.medical.requests import PayOrder, RefundOrder, UploadFees
from yimatong.sandbox.medical.rows import (
    Conditions,
    Division,
    Fees,
    Institution,
    InsuranceError,
    Message,
    Notice,
    Order,
    Person,
    Refund,
    Settlement,
)
from yimatong.sandbox.medical.rules import divide
from yimatong.sandbox.medical.sealing import PlatformKey
from yimatong.sandbox.store import Store

PRESETTLED, SETTLING, ALL_DONE, PART_DONE = "1", "2", "6", "4"
ALL_BACK, INSURANCE_BACK, REVOKED, TAKEN_BACK, FAILED = "7", "8", "12", "13", "15"
UNKNOWN_ORDER = InsuranceError(code="ORDER_NOT_EXIST", message="订单不存在")
_CONDITIONS = "conditions"


class Insurance:
    """One simulated medical insurance."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.key = PlatformKey(store.directory)
        self.faults = Faults()
        self.wake = asyncio.Event()
        self.people = People(store)
        self.institutions = store.table("insurance.institutions", Institution)
        self.orders = store.table("insurance.orders", Order)
        self.settlements = store.table("insurance.settlements", Settlement)
        self.refunds = store.table("insurance.refunds", Refund)
        self.messages = store.table("insurance.messages", Message)
        self.fees = store.table("insurance.fees", Fees)
        self.notices = store.table("insurance.notices", Notice)
        self._conditions = store.table("insurance.conditions", Conditions)
        self._by_med_org_ord = {f"{each.fixmedins_code}/{each.med_org_ord}": each.pay_ord_id for each in self.orders}

    @property
    def conditions(self) -> Conditions:
        """Return the lasting conditions."""
        return self._conditions.get(_CONDITIONS) or Conditions()

    def set_conditions(self, conditions: Conditions) -> None:
        """Replace the lasting conditions."""
        self._conditions.put(_CONDITIONS, conditions)
        self.wake.set()

    def with_app(self, app_id: str) -> Institution:
        """Return an institution by its application. Raises ``InsuranceError``."""
        found = next((each for each in self.institutions if each.app_id == app_id), None)
        if found is None:
            raise InsuranceError(code="401", message="appId 不存在")
        return found

    # ---- the mobile payment centre

    def upload(self, institution: Institution, asked: UploadFees, *, now: datetime) -> Order:
        """6201: divide a bill; the same upload again returns the same order while it is not ended."""
        digest = digest_of("6201", replace(asked, ecToken="", payAuthNo=""))
        known = self.orders.get(self._by_med_org_ord.get(f"{institution.fixmedins_code}/{asked.medOrgOrd}", ""))
        if known is not None:
            if known.digest != digest:
                raise InsuranceError(code="6201", message="医疗机构订单号重复")
            return known
        person = self._payer(asked, now=now)
        if (person.id_number, person.name) != (asked.idNo, asked.userName):
            raise InsuranceError(code="3103", message="凭证与就诊人不一致")
        used = asked.acctUsedFlag != "0"
        order = Order(
            pay_ord_id=f"ORD{institution.fixmedins_code[:6]}{now.astimezone(BEIJING):%Y%m%d%H%M%S}{_digits(11)}",
            pay_token=secrets.token_hex(16),
            fixmedins_code=institution.fixmedins_code,
            app_id=institution.app_id,
            med_org_ord=asked.medOrgOrd,
            digest=digest,
            id_number=person.id_number,
            id_type=person.id_type,
            name=person.name,
            mdtrt_id=asked.mdtrtId or _digits(15),
            chrg_bchno=asked.chrgBchno,
            account_used=used,
            division=divide(person, asked.total_fen, account_used=used),
            uploaded_at=now,
        )
        self._save(order)
        return order

    def pay(self, institution: Institution, asked: PayOrder, *, now: datetime) -> Order:
        """6202: settle an order; again is no error and settles nothing more."""
        order = self.order(institution, asked.payOrdId, asked.payToken)
        if asked.orgBizSer == order.org_biz_ser:
            return order
        if order.ord_stas != PRESETTLED:
            raise InsuranceError(code="6202", message=f"订单状态 {order.ord_stas} 不能下单")
        if not (asked.ecToken or asked.payAuthNo):
            raise InsuranceError(code="6202", message="缺少 ecToken 或 payAuthNo")
        order = replace(order, org_biz_ser=asked.orgBizSer, account_used=asked.acctUsedFlag != "0")
        if self.faults.strikes("settles_later"):
            return self._move(order, SETTLING)
        return self.settle_order(order, now=now)

    def settle_order(self, order: Order, *, now: datetime) -> Order:
        """Settle an order whose payment was asked for."""
        person = self.people.by_number(order.id_number)
        extra_fen = 1 if self.faults.strikes("split_changes") else 0
        division = divide(person, order.division.total_fen, account_used=order.account_used, fund_extra_fen=extra_fen)
        made = self._book(
            person,
            division,
            fixmedins_code=order.fixmedins_code,
            msgid=order.pay_ord_id,
            memo=order.org_biz_ser,
            mdtrt_id=order.mdtrt_id,
            now=now,
        )
        settled = replace(order, division=division, setl_id=made.setl_id, settled_at=now)
        return self._move(settled, PART_DONE if division.own_fen else ALL_DONE)

    def revoke(self, institution: Institution, pay_ord_id: str, pay_token: str) -> Order:
        """6401: revoke an upload that is not settled; again is no error."""
        order = self.order(institution, pay_ord_id, pay_token)
        if order.ord_stas not in (PRESETTLED, REVOKED):
            raise InsuranceError(code="6401", message=f"订单状态 {order.ord_stas} 不能撤销")
        return order if order.ord_stas == REVOKED else self._move(order, REVOKED)

    def take_back(self, order: Order, *, now: datetime) -> Order:
        """Take a settlement back as the centre may by itself (医保已撤销)."""
        self._unbook(order.setl_id, now=now)
        return self._move(order, TAKEN_BACK)

    def refund(self, institution: Institution, asked: RefundOrder, *, now: datetime) -> Refund:
        """6203: give back of fund and account; the same number again returns the same refund."""
        digest = digest_of("6203", asked)
        key = f"{institution.fixmedins_code}/{asked.appRefdSn}"
        known = self.refunds.get(key)
        if known is not None:
            if known.digest != digest:
                raise InsuranceError(code="6203", message="应用退款流水号重复")
            return known
        order = self.order(institution, asked.payOrdId)
        self._check_refund(order, asked)
        status = "FAIL" if self.faults.strikes("refund_fails") else "SUCC"
        made = Refund(
            app_refd_sn=asked.appRefdSn,
            refd_ord_id=f"REF{now.astimezone(BEIJING):%Y%m%d%H%M%S}{_digits(11)}",
            pay_ord_id=order.pay_ord_id,
            fund_fen=asked.fund_fen,
            account_fen=asked.account_fen,
            cash_fen=asked.cash_fen,
            status="EXP" if self.faults.strikes("refund_exceptional") else status,  # type: ignore[arg-type]
            digest=digest,
            at=now,
        )
        self.refunds.put(key, made)
        if made.status == "SUCC":
            self._given_back(order, made, now=now)
        return made

    def finish_refund(self, refund: Refund, *, now: datetime) -> Refund:
        """Let an exceptional refund come to a good end."""
        done = replace(refund, status="SUCC")
        order = self.orders.get(refund.pay_ord_id)
        if order is None or refund.status != "EXP":
            raise UNKNOWN_ORDER
        self.refunds.put(f"{order.fixmedins_code}/{refund.app_refd_sn}", done)
        self._given_back(order, done, now=now)
        return done

    def order(self, institution: Institution, pay_ord_id: str, pay_token: str | None = None) -> Order:
        """Return an order of an institution. Raises ``InsuranceError``."""
        order = self.orders.get(pay_ord_id)
        if order is None or order.fixmedins_code != institution.fixmedins_code:
            raise UNKNOWN_ORDER
        if pay_token is not None and pay_token != order.pay_token:
            raise InsuranceError(code="6301", message="payToken 不正确")
        return order

    def refunds_of(self, order: Order) -> list[Refund]:
        """Return the refunds of an order."""
        return [each for each in self.refunds if each.pay_ord_id == order.pay_ord_id]

    # ---- the hospital interface

    def settle(self, institution: Institution, asked: Any, person: Person, *, msgid: str, now: datetime) -> Settlement:
        """2207: settle a visit's charge; the same message again returns the same settlement."""
        digest, key = digest_of("2207", asked), f"{institution.fixmedins_code}/{msgid}"
        known = self.messages.get(key)
        if known is not None:
            if known.digest != digest:
                raise InsuranceError(code="-1", message="报文编号重复")
            found = self.settlements.get(known.setl_id)
            if found is None or found.state == "reversed":
                raise InsuranceError(code="-1", message="原交易已冲正")
            return found
        extra_fen = 1 if self.faults.strikes("split_changes") else 0
        used = asked.acct_used_flag != "0"
        made = self._book(
            person,
            divide(person, asked.total_fen, account_used=used, fund_extra_fen=extra_fen),
            fixmedins_code=institution.fixmedins_code,
            msgid=msgid,
            memo=asked.chrg_bchno,
            mdtrt_id=asked.mdtrt_id,
            now=now,
        )
        self.messages.put(key, Message(msgid=msgid, infno="2207", digest=digest, setl_id=made.setl_id))
        return made

    def settlement(self, institution: Institution, *, psn_no: str, mdtrt_id: str, setl_id: str) -> Settlement:
        """Return a settlement that stands or stood. Raises ``InsuranceError``."""
        found = self.settlements.get(setl_id)
        ours = (institution.fixmedins_code, psn_no, mdtrt_id)
        if found is None or found.state == "reversed" or (found.fixmedins_code, found.psn_no, found.mdtrt_id) != ours:
            raise InsuranceError(code="-1", message="结算信息不存在")
        return found

    def cancel(self, settlement: Settlement, *, msgid: str, now: datetime) -> Settlement:
        """2208: take a settlement back as a whole; the same message again is no error."""
        key = f"{settlement.fixmedins_code}/{msgid}"
        if self.messages.get(key) is not None:
            return settlement
        if settlement.state != "settled":
            raise InsuranceError(code="-1", message="结算已撤销")
        self.messages.put(key, Message(msgid=msgid, infno="2208", digest="", setl_id=settlement.setl_id))
        return self._unbook(settlement.setl_id, now=now)

    def reverse(self, institution: Institution, *, psn_no: str, omsgid: str, oinfno: str, now: datetime) -> None:
        """2601: undo what a message of unknown outcome did. Raises ``InsuranceError`` with the words for why not."""
        message = self.messages.get(f"{institution.fixmedins_code}/{omsgid}")
        settlement = self.settlements.get(message.setl_id) if message is not None else None
        if message is None or settlement is None or (message.infno, settlement.psn_no) != (oinfno, psn_no):
            raise InsuranceError(code="-1", message="原交易不存在")
        if settlement.state == "reversed":
            raise InsuranceError(code="-1", message="原交易已冲正")
        if oinfno != "2207" or settlement.state == "cancelled":
            raise InsuranceError(code="-1", message="该交易不能冲正")
        self._unbook(settlement.setl_id, now=now, as_reversal=True)

    # ---- inside

    def _payer(self, asked: UploadFees, *, now: datetime) -> Person:
        if bool(asked.ecToken) == bool(asked.payAuthNo):
            raise InsuranceError(code="6201", message="ecToken 与 payAuthNo 二选一")
        kind = "ecToken" if asked.ecToken else "payAuthNo"
        return self.people.holder(asked.ecToken or asked.payAuthNo, kind, now=now)

    def _check_refund(self, order: Order, asked: RefundOrder) -> None:
        if order.ord_stas not in (PART_DONE, ALL_DONE):
            raise InsuranceError(code="6203", message=f"订单状态 {order.ord_stas} 不能退费")
        if asked.fund_fen + asked.account_fen + asked.cash_fen != asked.total_fen or asked.total_fen <= 0:
            raise InsuranceError(code="6203", message="退费金额合计不一致")
        gone = [each for each in self.refunds_of(order) if each.status != "FAIL"]
        left = (
            order.division.fund_fen - sum(each.fund_fen for each in gone),
            order.division.account_fen - sum(each.account_fen for each in gone),
        )
        if asked.fund_fen > left[0] or asked.account_fen > left[1]:
            raise InsuranceError(code="6203", message="退费金额超过可退金额")
        whole = (asked.fund_fen, asked.account_fen, asked.cash_fen)
        division = order.division
        if asked.refdType == "ALL" and whole != (division.fund_fen, division.account_fen, division.own_fen):
            raise InsuranceError(code="6203", message="全退金额与结算金额不一致")
        if asked.refdType == "HI" and asked.cash_fen:
            raise InsuranceError(code="6203", message="医保退费不能包含现金")

    def _given_back(self, order: Order, refund: Refund, *, now: datetime) -> None:
        person = self.people.by_number(order.id_number)
        self.people.give_back(person, account_fen=refund.account_fen, deductible_fen=0)
        done = [each for each in self.refunds_of(order) if each.status == "SUCC"]
        back_fen = sum(each.fund_fen + each.account_fen for each in done)
        if back_fen == order.division.fund_fen + order.division.account_fen:
            settlement = self.settlements.get(order.setl_id)
            if settlement is not None:
                self.people.give_back(person, account_fen=0, deductible_fen=settlement.division.deductible_fen)
                self.settlements.put(order.setl_id, replace(settlement, state="cancelled", ended_at=now))
            self._move(order, INSURANCE_BACK if order.division.own_fen else ALL_BACK)

    def _book(
        self,
        person: Person,
        division: Division,
        *,
        fixmedins_code: str,
        msgid: str,
        memo: str,
        mdtrt_id: str,
        now: datetime,
    ) -> Settlement:
        self.people.take(person, division)
        made = Settlement(
            setl_id=f"{now.astimezone(BEIJING):%Y%m%d}{_digits(12)}",
            fixmedins_code=fixmedins_code,
            msgid=msgid,
            memo=memo,
            id_number=person.id_number,
            psn_no=person.psn_no,
            mdtrt_id=mdtrt_id,
            division=division,
            settled_at=now,
        )
        self.settlements.put(made.setl_id, made)
        return made

    def _unbook(self, setl_id: str, *, now: datetime, as_reversal: bool = False) -> Settlement:
        settlement = self.settlements.get(setl_id)
        if settlement is None:
            raise UNKNOWN_ORDER
        division = settlement.division
        self.people.give_back(
            self.people.by_number(settlement.id_number),
            account_fen=division.account_fen,
            deductible_fen=division.deductible_fen,
        )
        ended = replace(settlement, state="reversed" if as_reversal else "cancelled", ended_at=now)
        self.settlements.put(setl_id, ended)
        return ended

    def _move(self, order: Order, state: str) -> Order:
        moved = replace(order, ord_stas=state, before=order.ord_stas)
        self._save(moved)
        return moved

    def _save(self, order: Order) -> None:
        self.orders.put(order.pay_ord_id, order)
        self._by_med_org_ord[f"{order.fixmedins_code}/{order.med_org_ord}"] = order.pay_ord_id


def digest_of(kind: str, asked: msgspec.Struct) -> str:
    """Return the hash of a request, to tell a repetition from another request under the same number."""
    return hashlib.sha256(kind.encode() + msgspec.json.encode(asked, order="sorted")).hexdigest()


def _digits(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}d}"
