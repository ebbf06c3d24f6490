"""Between the port's structs and the hospital interface (两定接口): 1101, 2204, 2206, 2207, 2208, 2601 and 5203.

Public sources: the envelope and tables of 《医疗保障信息平台定点医药机构接口规范》 (国家医疗保障局) as open hospital
systems carry them in their model classes (newtouch-cloud/openhis, fengzaiqishi11/hsa-his, binzhe12123/Medical).
``msgid`` is the code of the institution (12), the time (14) and a number (4); a settlement is reversed by the
``msgid`` of its request (2601), and its answer repeats that ``msgid`` as ``medins_setl_id``.

Not settled by public sources: what the signature in ``cainfo`` is made over (here: the rule of the mobile centre over
the whole message without it), how gateways authenticate callers in a province, and the words of a failed 2601: they
are free text, so they are compared whole, and an account's profile can name a province's own (``reversal_absent``,
``reversal_done``). Registration of the visit (2201) is the hospital system's: ``visit_no`` is its ``mdtrt_id``.
Profile entries read: those of ``mobile`` and ``mdtrtarea_admvs``, ``insuplc_admdvs``, ``recer_sys_code``, ``infver``,
``opter``, ``opter_name``, ``dev_no``. Pure; amounts are texts of yuan on this wire.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.payments.channels.abilities import Insured, PresettledPart, PresettleRequest
from yimatong.payments.channels.base import ChannelAccount, ChannelPayment, PaymentStatus
from yimatong.payments.channels.insurance import keys, signing
from yimatong.payments.channels.insurance.mobile import account_used
from yimatong.payments.channels.insurance.splits import Garbled, Split, fen_in, needed, text_in, within

PATH: Final = "/fsi/api/fsiIntfInpService/callService/{infno}"
REVERSAL_ABSENT: Final = frozenset({"原交易不存在", "未找到原交易"})
REVERSAL_DONE: Final = frozenset({"原交易已冲正"})
CERTIFICATES: Final = {"ecert": "01", "id": "02", "card": "03"}
"""``mdtrt_cert_type``: electronic credential, resident identity card, social-insurance card."""

_CODE: Final = 12
_SECOND: Final = "%Y-%m-%d %H:%M:%S"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who is insured, as 1101 tells it."""

    psn_no: str
    insutype: str
    insuplc: str


def msgid(account: ChannelAccount, infno: str, number: str, *, moment: datetime) -> str:
    """Return the number of a message: the same for the same transaction, so that it can be sent again and reversed.

    ``number`` is ours (of the attempt, the refund, the question), ``moment`` when that was made.
    """
    sequence = int.from_bytes(sm3(f"{infno}:{number}".encode())[:4], "big") % 10_000
    code = keys.institution(account)[:_CODE].ljust(_CODE, "0")
    return f"{code}{moment.astimezone(BEIJING):%Y%m%d%H%M%S}{sequence:04d}"


def envelope(
    account: ChannelAccount, infno: str, content: Mapping[str, Any], *, msg: str, insuplc: str, now: datetime
) -> dict[str, Any]:
    """Return a message around ``content``, its signature in ``cainfo``."""
    said = account.profile
    message = {
        "infno": infno,
        "msgid": msg,
        "mdtrtarea_admvs": said.get("mdtrtarea_admvs", "610100"),
        "insuplc_admdvs": insuplc or said.get("insuplc_admdvs", "610100"),
        "recer_sys_code": said.get("recer_sys_code", "MBS"),
        "dev_no": said.get("dev_no", ""),
        "dev_safe_info": "",
        "signtype": "SM2",
        "infver": said.get("infver", "V1.0"),
        "opter_type": "3",
        "opter": said.get("opter", "yimatong"),
        "opter_name": said.get("opter_name", "一码通"),
        "inf_time": f"{now.astimezone(BEIJING):{_SECOND}}",
        "fixmedins_code": keys.institution(account),
        "fixmedins_name": said.get("fixmedins_name", ""),
        "sign_no": said.get("sign_no", ""),
        "input": content,
    }
    return message | {"cainfo": signing.sign(keys.of(account), {k: v for k, v in message.items() if k != "cainfo"})}


def asking_person(insured: Insured) -> dict[str, Any]:
    """Return the content of 1101. Raises ``Garbled`` for a credential that this interface has no type for."""
    return {
        "data": {
            "mdtrt_cert_type": _certificate(insured),
            "mdtrt_cert_no": _shown(insured),
            "psn_cert_type": insured.id_type,
            "certno": insured.id_number,
            "psn_name": insured.name,
        }
    }


def person(told: Mapping[str, Any], insured: Insured) -> Person:
    """Return who is insured. Raises ``Garbled`` when 1101 tells of somebody else, or of no insurance."""
    base = within(told, "baseinfo")
    if (text_in(base, "certno").upper(), text_in(base, "psn_name")) != (insured.id_number.upper(), insured.name):
        message = "1101 tells of somebody else"
        raise Garbled(message)
    insured_by = told.get("insuinfo")
    if not isinstance(insured_by, list) or not insured_by or not isinstance(insured_by[0], dict):
        message = "1101 tells of no insurance"
        raise Garbled(message)
    first = insured_by[0]
    return Person(
        psn_no=needed(base, "psn_no"), insutype=needed(first, "insutype"), insuplc=text_in(first, "insuplc_admdvs")
    )


def fees(request: PresettleRequest, who: Person) -> dict[str, Any]:
    """Return the content of 2204: the lines of the bill. Raises ``Garbled`` when they are not the amount."""
    if sum(line.amount_fen for line in request.lines) != request.amount_fen:
        message = "the lines are not the amount"
        raise Garbled(message)
    return {
        "feedetail": [
            {
                "feedetl_sn": f"{request.leg_no}{number:04d}",
                "mdtrt_id": request.visit_no,
                "psn_no": who.psn_no,
                "chrg_bchno": request.leg_no,
                "fee_ocur_time": f"{request.placed_at.astimezone(BEIJING):{_SECOND}}",
                "med_list_codg": line.code,
                "medins_list_name": line.name,
                "det_item_fee_sumamt": plain_yuan(line.amount_fen),
                "cnt": str(line.quantity),
            }
            for number, line in enumerate(request.lines, start=1)
        ]
    }


def presettling(account: ChannelAccount, request: PresettleRequest, who: Person) -> dict[str, Any]:
    """Return the content of 2206; 2207 repeats it. Raises ``Garbled`` as :func:`asking_person`."""
    return {
        "data": {
            "psn_no": who.psn_no,
            "mdtrt_cert_type": _certificate(request.insured),
            "mdtrt_cert_no": _shown(request.insured),
            "med_type": account.profile.get("med_type", "11"),
            "medfee_sumamt": plain_yuan(request.amount_fen),
            "psn_setlway": account.profile.get("psn_setlway", "01"),
            "mdtrt_id": request.visit_no,
            "chrg_bchno": request.leg_no,
            "insutype": who.insutype,
            "acct_used_flag": account_used(account),
        }
    }


def presettled(told: Mapping[str, Any], request: PresettleRequest, asked: Mapping[str, Any]) -> PresettledPart:
    """Return what 2206 says would be paid. Raises ``Garbled``."""
    info = within(told, "setlinfo")
    split = split_of(info)
    if split.total_fen != request.amount_fen:
        message = "2206 answers for another amount"
        raise Garbled(message)
    limits = {
        name: plain_yuan(fen_in(info, name, absent=0))
        for name in ("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt")
    }
    return PresettledPart(
        amount_fen=split.insured_fen,
        components=split.components,
        references={
            "driver": "hospital",
            **asked["data"],
            **limits,
            "insuplc_admdvs": text_in(info, "insuplc_admdvs"),
            **{f"promised_{name}": plain_yuan(fen) for name, fen in split.components.items()},
        },
    )


def settling(known: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of 2207: what was presettled. Raises ``Garbled`` for references of another interface."""
    needed(known, "mdtrt_id")
    needed(known, "psn_no")
    left_out = ("driver", "insuplc_admdvs")
    return {"data": {k: v for k, v in known.items() if k not in left_out and not k.startswith("promised_")}}


def split_of(info: Mapping[str, Any]) -> Split:
    """Return the division of a ``setlinfo``. Raises ``Garbled`` when it does not add up."""
    return Split(
        total_fen=fen_in(info, "medfee_sumamt"),
        fund_fen=fen_in(info, "fund_pay_sumamt"),
        account_fen=fen_in(info, "acct_pay"),
        own_fen=fen_in(info, "psn_cash_pay"),
        mutual_fen=fen_in(info, "acct_mulaid_pay", absent=0),
        hospital_fen=fen_in(info, "hosp_part_amt", absent=0),
    )


def settled(
    account: ChannelAccount, told: Mapping[str, Any], *, attempt_no: str, msg: str, known: Mapping[str, str]
) -> ChannelPayment:
    """Return what 2207 or 5203 says of a settlement. Raises ``Garbled`` when it is about another."""
    info = within(told, "setlinfo")
    ours = (known.get("psn_no", ""), known.get("mdtrt_id", ""))
    if (text_in(info, "psn_no"), text_in(info, "mdtrt_id")) != ours or text_in(info, "medins_setl_id") not in ("", msg):
        message = "the answer is about another settlement"
        raise Garbled(message)
    split = split_of(info)
    reversed_ = text_in(info, "refd_setl_flag") == "1"
    return ChannelPayment(
        attempt_no=attempt_no,
        status=PaymentStatus.REFUNDED if reversed_ else PaymentStatus.SUCCEEDED,
        merchant_id=account.merchant_id,
        app_id=account.app_id,
        channel_trade_no=needed(info, "setl_id"),
        amount_fen=split.insured_fen,
        components=split.components,
        paid_at=_moment(text_in(info, "setl_time")),
    )


def fits(found: ChannelPayment, known: Mapping[str, str]) -> bool:
    """Say whether a settlement is what was presettled, component by component. Raises ``Garbled``."""
    promised = {name.removeprefix("promised_"): fen_in(known, name) for name in known if name.startswith("promised_")}
    return dict(found.components) == promised


def about(known: Mapping[str, str], setl_id: str) -> dict[str, Any]:
    """Return the content of 2208 and 5203. Raises ``Garbled``."""
    return {
        "data": {
            "psn_no": needed(known, "psn_no"),
            "mdtrt_id": needed(known, "mdtrt_id"),
            "setl_id": setl_id,
        }
    }


def reversing(known: Mapping[str, str], msg: str, *, infno: str = "2207") -> dict[str, Any]:
    """Return the content of 2601: take back what message ``msg`` did, whether or not its answer arrived."""
    return {"data": {"psn_no": needed(known, "psn_no"), "omsgid": msg, "oinfno": infno}}


def _certificate(insured: Insured) -> str:
    found = CERTIFICATES.get(insured.credential or "id")
    if found is None:
        message = f"this interface has no type for the credential {insured.credential[:20]}"
        raise Garbled(message)
    return found


def _shown(insured: Insured) -> str:
    return str.__str__(insured.credential_no) or insured.id_number


def _moment(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, _SECOND).replace(tzinfo=BEIJING)
    except ValueError:
        return None
