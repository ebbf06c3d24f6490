"""The hospital interface on the wire: 1101, 2204, 2206, 2207, 2208, 2601, 5203, 3202, 9102 in one envelope.

Every request is verified by ``cainfo``, every answer signed in it, refusals too; what it is made over is not public.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.medical import bill, sealing
from yimatong.sandbox.medical.mobile import GARBAGE, JSON, stumble
from yimatong.sandbox.medical.requests import (
    Charge,
    Download,
    Envelope,
    FeeLine,
    Reversal,
    Statement,
    WhichSettlement,
    WhoIs,
    fen,
    read,
)
from yimatong.sandbox.medical.rows import Division, Fees, Institution, InsuranceError, Person, Settlement
from yimatong.sandbox.medical.rules import divide
from yimatong.sandbox.medical.state import Insurance

Wire = Request[Any, Any, Any]
_files: dict[str, tuple[datetime, bytes]] = {}
"""Files live for minutes; a restart forgets them and the hospital asks again."""


class Call(NamedTuple):
    """A verified message."""

    insurance: Insurance
    institution: Institution
    message: Envelope
    now: datetime

    def data(self, shape: type[Any], name: str = "data") -> Any:
        """Return the object inside the input. Raises ``InsuranceError``."""
        return read(self.message.input.get(name), shape, "-1")


@post("/insurance/fsi/api/fsiIntfInpService/callService/{infno:str}", status_code=200)
async def call_service(request: Wire, infno: FromPath[str]) -> Response[bytes]:
    """Answer a message of any number."""
    insurance: Insurance = request.app.state.insurance
    path, faults = request.scope["raw_path"].decode("ascii"), insurance.faults
    broken_off = await stumble(insurance, path)
    if broken_off is not None:
        return broken_off
    now, institution = clock.now(), None
    said: dict[str, Any] = {"infcode": 0, "err_msg": "", "output": {}}
    try:
        institution, call = _verified(insurance, await request.body(), infno, now=now)
        if infno == "9102":
            return _file(call)
        said["output"] = _ACTS[infno](call)
    except InsuranceError as error:
        said |= {"infcode": -1, "err_msg": error.message}
    await insurance.store.flush()
    if faults.strikes("lost_answers", path):
        await asyncio.sleep(faults.hang_s)
        return Response(GARBAGE, status_code=504, media_type="text/html")
    stamp = now - timedelta(hours=1) if faults.strikes("old_answers", path) else now
    answer = said | {
        "inf_refmsgid": f"610000{now.astimezone(BEIJING):%Y%m%d%H%M%S}{secrets.randbelow(10**10):010d}",
        "refmsg_time": f"{now.astimezone(BEIJING):%Y%m%d%H%M%S}000",
        "respond_time": f"{stamp.astimezone(BEIJING):%Y%m%d%H%M%S}000",
        "signtype": "SM2",
    }
    if institution is not None and not faults.strikes("unsigned_answers", path):
        answer["cainfo"] = insurance.key.sign(institution, answer, broken=faults.strikes("wrong_signatures", path))
    return Response(msgspec.json.encode(answer), media_type=JSON)


def _verified(insurance: Insurance, raw: bytes, infno: str, *, now: datetime) -> tuple[Institution, Call]:
    try:
        body = json.loads(raw)
        message = msgspec.convert(body, Envelope)
    except (ValueError, msgspec.ValidationError) as error:
        raise InsuranceError(code="-1", message=f"报文格式错误: {error}") from error
    institution = insurance.institutions.get(message.fixmedins_code)
    if institution is None or message.infno != infno or infno not in (*_ACTS, "9102"):
        raise InsuranceError(code="-1", message="定点医药机构或交易编号不存在")
    sealing.check(institution, {name: value for name, value in body.items() if name != "cainfo"}, message.cainfo)
    sent = datetime.strptime(message.inf_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    if abs((sent - now).total_seconds()) > sealing.WINDOW_S:
        raise InsuranceError(code="-1", message="交易时间超出允许范围")
    if not message.msgid.startswith(institution.fixmedins_code):
        raise InsuranceError(code="-1", message="报文编号与机构不一致")
    return institution, Call(insurance, institution, message, now)


def _who(call: Call) -> dict[str, Any]:
    """人员信息获取 (1101)."""
    asked, people = call.data(WhoIs), call.insurance.people
    if asked.mdtrt_cert_type == "01":
        person = people.holder(asked.mdtrt_cert_no, "ecToken", now=call.now)
    else:
        person = people.find(asked.certno or asked.mdtrt_cert_no, asked.psn_name, asked.psn_cert_type)
    return {
        "baseinfo": {
            "psn_no": person.psn_no,
            "psn_cert_type": person.id_type,
            "certno": person.id_number,
            "psn_name": person.name,
        },
        "insuinfo": [
            {
                "insutype": person.insutype,
                "insuplc_admdvs": person.insuplc,
                "balc": plain_yuan(person.balance_fen),
                "psn_insu_stas": "1",
            }
        ],
    }


def _upload(call: Call) -> dict[str, Any]:
    """门诊费用明细信息上传 (2204)."""
    lines = call.message.input.get("feedetail")
    read_lines = [read(each, FeeLine, "-1") for each in (lines if isinstance(lines, list) else [])]
    if len({(line.mdtrt_id, line.psn_no, line.chrg_bchno) for line in read_lines}) != 1:
        raise InsuranceError(code="-1", message="费用明细应属于同一次收费")
    key = f"{call.institution.fixmedins_code}/{read_lines[0].mdtrt_id}/{read_lines[0].chrg_bchno}"
    call.insurance.fees.put(key, Fees(key=key, total_fen=sum(fen(line.det_item_fee_sumamt) for line in read_lines)))
    return {"result": [{"feedetl_sn": line.feedetl_sn} for line in read_lines]}


def _charged(call: Call) -> tuple[Charge, Person]:
    asked = call.data(Charge)
    uploaded = call.insurance.fees.get(f"{call.institution.fixmedins_code}/{asked.mdtrt_id}/{asked.chrg_bchno}")
    if uploaded is None or uploaded.total_fen != asked.total_fen:
        raise InsuranceError(code="-1", message="费用总额与上传明细不一致")
    return asked, call.insurance.people.numbered(asked.psn_no)


def _presettle(call: Call) -> dict[str, Any]:
    """门诊预结算 (2206)."""
    asked, person = _charged(call)
    division = divide(person, asked.total_fen, account_used=asked.acct_used_flag != "0")
    return {"setlinfo": {"mdtrt_id": asked.mdtrt_id, "psn_no": person.psn_no, **_division(division)}}


def _settle(call: Call) -> dict[str, Any]:
    """门诊结算 (2207)."""
    asked, person = _charged(call)
    made = call.insurance.settle(call.institution, asked, person, msgid=call.message.msgid, now=call.now)
    return {"setlinfo": _settlement(made), "setldetail": []}


def _cancel(call: Call) -> dict[str, Any]:
    """门诊结算撤销 (2208)."""
    asked = call.data(WhichSettlement)
    found = call.insurance.settlement(
        call.institution, psn_no=asked.psn_no, mdtrt_id=asked.mdtrt_id, setl_id=asked.setl_id
    )
    ended = call.insurance.cancel(found, msgid=call.message.msgid, now=call.now)
    info = {"mdtrt_id": ended.mdtrt_id, "psn_no": ended.psn_no, "setl_id": f"{ended.setl_id}R"}
    return {"setlinfo": info | {"medfee_sumamt": f"-{plain_yuan(ended.division.total_fen)}"}}


def _reverse(call: Call) -> dict[str, Any]:
    """冲正交易 (2601)."""
    asked = call.data(Reversal)
    call.insurance.reverse(
        call.institution, psn_no=asked.psn_no, omsgid=asked.omsgid, oinfno=asked.oinfno, now=call.now
    )
    return {}


def _which(call: Call) -> dict[str, Any]:
    """结算信息查询 (5203)."""
    asked = call.data(WhichSettlement)
    found = call.insurance.settlement(
        call.institution, psn_no=asked.psn_no, mdtrt_id=asked.mdtrt_id, setl_id=asked.setl_id
    )
    lagging = found.state == "cancelled" and call.insurance.faults.strikes("read_lag")
    return {
        "setlinfo": _settlement(found) | {"refd_setl_flag": "1" if found.state != "settled" and not lagging else "0"}
    }


def _statement(call: Call) -> dict[str, Any]:
    """医药机构费用结算对明细账 (3202): where the file is, and its hash."""
    asked = call.data(Statement)
    day = date.fromisoformat(asked.stmt_begndate)
    if bill.available_from(day) > call.now and not bill.closed(call.insurance, day):
        raise InsuranceError(code="-1", message="对账文件尚未生成")
    packed = bill.packed(call.insurance, call.institution, day)
    for old in [name for name, (until, _) in _files.items() if until < call.now]:
        del _files[old]
    name = f"{call.institution.fixmedins_code}_{day:%Y%m%d}.zip"
    number = secrets.token_hex(16)
    _files[number] = (call.now + timedelta(minutes=10), packed)
    return {"fileinfo": {"file_qury_no": number, "filename": name, "file_sm3": sm3(packed).hex()}}


def _file(call: Call) -> Response[bytes]:
    """文件下载 (9102): octets, not signed."""
    asked = call.data(Download, "fsDownloadIn")
    _, packed = _files.get(asked.file_qury_no, (None, None))
    if packed is None:
        raise InsuranceError(code="-1", message="文件不存在")
    if call.insurance.faults.strikes("broken_bills"):
        packed = packed[: len(packed) // 2]
    return Response(packed, media_type="application/octet-stream")


def _division(division: Division) -> dict[str, Any]:
    return {
        "medfee_sumamt": plain_yuan(division.total_fen),
        "fund_pay_sumamt": plain_yuan(division.fund_fen),
        "acct_pay": plain_yuan(division.account_fen),
        "psn_cash_pay": plain_yuan(division.own_fen),
        "psn_part_amt": plain_yuan(division.own_fen + division.account_fen),
        "hosp_part_amt": "0.00",
        "acct_mulaid_pay": "0.00",
        "inscp_scp_amt": plain_yuan(division.total_fen),
        "act_pay_dedc": plain_yuan(division.deductible_fen),
    }


def _settlement(made: Settlement) -> dict[str, Any]:
    return {
        "setl_id": made.setl_id,
        "mdtrt_id": made.mdtrt_id,
        "psn_no": made.psn_no,
        "medins_setl_id": made.msgid,
        "setl_time": f"{made.settled_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
        **_division(made.division),
    }


_ACTS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "1101": _who,
    "2204": _upload,
    "2206": _presettle,
    "2207": _settle,
    "2208": _cancel,
    "2601": _reverse,
    "5203": _which,
    "3202": _statement,
}
HANDLERS: list[HTTPRouteHandler] = [call_service]
