"""Bills and movements that tests are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.reconciliation.matching import Movement

MERCHANT = "1900000109"
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
ALL = [
    "交易时间",
    "公众账号ID",
    "商户号",
    "特约商户号",
    "设备号",
    "微信订单号",
    "商户订单号",
    "用户标识",
    "交易类型",
    "交易状态",
    "付款银行",
    "货币种类",
    "应结订单金额",
    "代金券金额",
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "商品名称",
    "商户数据包",
    "手续费",
    "费率",
    "订单金额",
    "申请退款金额",
    "费率备注",
]
SUMMARY = [
    "总交易单数",
    "应结订单总金额",
    "退款总金额",
    "充值券退款总金额",
    "手续费总金额",
    "订单总金额",
    "申请退款总金额",
]
OLD = [
    "交易时间",
    "公众账号ID",
    "商户号",
    "子商户号",
    "设备号",
    "微信订单号",
    "商户订单号",
    "用户标识",
    "交易类型",
    "交易状态",
    "付款银行",
    "货币种类",
    "总金额",
    "代金券或立减优惠金额",
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "代金券或立减优惠退款金额",
    "退款类型",
    "退款状态",
    "商品名称",
    "商户数据包",
    "手续费",
    "费率",
]
OLD_SUMMARY = ["总交易单数", "总交易额", "总退款金额", "总代金券或立减优惠退款金额", "手续费总金额"]
NEW_NAMES = {"应结订单金额": "总金额", "代金券金额": "代金券或立减优惠金额", "特约商户号": "子商户号"}


@dataclass(frozen=True)
class Line:
    """A row of a bill, payment or refund, as a test thinks of it."""

    number: str
    fen: int
    kind: str = "payment"
    fee: Decimal | None = None
    state: str = "SUCCESS"
    at: datetime = NOON
    name: str = "门诊缴费"
    channel_no: str = "42000"
    merchant: str = MERCHANT

    def cells(self) -> dict[str, str]:
        refund = self.kind == "refund"
        paid, back = ("0.00", plain_yuan(self.fen)) if refund else (plain_yuan(self.fen), "0.00")
        fee = self.due if self.fee is None else self.fee
        return {
            "交易时间": f"{self.at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
            "公众账号ID": "wx8888888888888888",
            "商户号": self.merchant,
            "特约商户号": "0",
            "子商户号": "0",
            "微信订单号": "0" if refund else self.channel_no,
            "商户订单号": "paid-before" if refund else self.number,
            "用户标识": "oPayer",
            "交易类型": "NATIVE",
            "交易状态": "REFUND" if refund else self.state,
            "付款银行": "OTHERS",
            "货币种类": "CNY",
            "应结订单金额": paid,
            "总金额": paid,
            "订单金额": paid,
            "代金券金额": "0.00",
            "代金券或立减优惠金额": "0.0",
            "微信退款单号": self.channel_no if refund else "0",
            "商户退款单号": self.number if refund else "0",
            "退款金额": back,
            "申请退款金额": back,
            "充值券退款金额": "0.00",
            "代金券或立减优惠退款金额": "0",
            "退款类型": "ORIGINAL" if refund else "",
            "退款状态": self.state if refund else "",
            "商品名称": self.name,
            "手续费": f"{fee:.5f}",
            "费率": "0.60%",
        }

    @property
    def due(self) -> Decimal:
        due = (Decimal(self.fen) * 60 / 1_000_000).quantize(Decimal("0.00001"))
        return -due if self.kind == "refund" else due

    def movement(self, **changes) -> Movement:
        state = {"SUCCESS": "succeeded", "REVOKED": "revoked"}.get(self.state, self.state.lower())
        values = {
            "kind": self.kind,
            "number": self.number,
            "channel_no": self.channel_no,
            "amount_fen": self.fen,
            "state": state,
            "at": self.at,
        }
        return Movement(**{**values, **changes})


def row(line: Line, columns: list[str] = ALL) -> str:
    cells = line.cells()
    return ",".join(f"`{cells.get(column, '')}" for column in columns)


def bill(
    lines: list[Line],
    columns: list[str] = ALL,
    summary: list[str] = SUMMARY,
    *,
    end: str = "\r\n",
    bom: bool = False,
    stated: dict[str, str] | None = None,
) -> bytes:
    """Return a whole bill; ``stated`` replaces cells of the summary line."""
    paid = plain_yuan(sum(line.fen for line in lines if line.kind == "payment"))
    back = plain_yuan(sum(line.fen for line in lines if line.kind == "refund"))
    fees = sum((Decimal(line.cells()["手续费"]) for line in lines), Decimal(0))
    known = {"总交易单数": str(len(lines)), "手续费总金额": f"{fees:.5f}"}
    known |= dict.fromkeys(("应结订单总金额", "订单总金额", "总交易额"), paid)
    known |= dict.fromkeys(("退款总金额", "申请退款总金额", "总退款金额"), back) | (stated or {})
    texts = [
        ",".join(columns),
        *(row(line, columns) for line in lines),
        ",".join(summary),
        ",".join(f"`{known.get(column, '0.00')}" for column in summary),
        "",
    ]
    return (b"\xef\xbb\xbf" if bom else b"") + end.join(texts).encode()


def payments(number: int) -> list[Line]:
    """Return payments with different numbers, amounts and moments."""
    return [
        Line(f"P{each:020d}A01", 100 + each * 7, at=NOON + timedelta(seconds=each % 3600), channel_no=f"4200{each}")
        for each in range(number)
    ]


__all__ = ["ALL", "MERCHANT", "NOON", "OLD", "OLD_SUMMARY", "SUMMARY", "Line", "bill", "payments", "replace", "row"]
