"""Orders and refunds of the mobile payment centre as answers and notices show them. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.medical.rows import Order, Refund


def order_shown(order: Order) -> dict[str, Any]:
    """Return an order as answers and notices show it."""
    division = order.division
    return {
        "payOrdId": order.pay_ord_id,
        "medOrgOrd": order.med_org_ord,
        "orgBizSer": order.org_biz_ser,
        "mdtrtId": order.mdtrt_id,
        "ordStas": order.ord_stas,
        "callType": "02",
        "setlType": "HI",
        "traceTime": _time(order.settled_at),
        "feeSumamt": plain_yuan(division.total_fen),
        "ownPayAmt": plain_yuan(division.own_fen),
        "psnAcctPay": plain_yuan(division.account_fen),
        "fundPay": plain_yuan(division.fund_fen),
    }


def refund_shown(made: Refund) -> dict[str, Any]:
    """Return a refund as 6203 answers it and 6301 lists it."""
    return {
        "appRefdSn": made.app_refd_sn,
        "refdOrdId": made.refd_ord_id,
        "refStatus": made.status,
        "totlRefdAmt": plain_yuan(made.fund_fen + made.account_fen + made.cash_fen),
        "refdTime": _time(made.at),
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
