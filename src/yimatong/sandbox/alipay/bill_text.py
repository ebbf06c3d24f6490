"""The text of Alipay's bills and the zip around it. Pure.

Business bill (``trade``): GBK, CRLF, four lines with ``#``, a header of 25 columns, rows whose texts end in TABs, then
the totals in ``#`` lines; refunds are negative, the fee of a payment is negative, a refund shows no fee. A second file
sums it up. Funds (``signcustomer``): every movement of the merchant's balance in 12 columns. Layouts as public parsers
and samples of these files show them; the summary's columns and the wording of the last lines are seen in samples only,
no specification of them is public.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from yimatong.kit.clock import BEIJING, day_bounds
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.alipay.rows import BillRow, Merchant

COLUMNS: Final = (
    *("支付宝交易号", "商户订单号", "业务类型", "商品名称", "创建时间", "完成时间", "门店编号", "门店名称", "操作员"),
    *("终端号", "对方账户", "订单金额（元）", "商家实收（元）", "支付宝红包（元）", "集分宝（元）", "支付宝优惠（元）"),
    *(
        "商家优惠（元）",
        "券核销金额（元）",
        "券名称",
        "商家红包消费金额（元）",
        "卡消费金额（元）",
        "退款批次号/请求号",
    ),
    *("服务费（元）", "分润（元）", "备注"),
)
SUMMARY: Final = (
    *(
        "门店编号",
        "门店名称",
        "交易订单总笔数",
        "退款订单总笔数",
        "订单金额（元）",
        "商家实收（元）",
        "支付宝优惠（元）",
    ),
    *("商家优惠（元）", "卡消费金额（元）", "服务费（元）", "分润（元）", "实收净额（元）"),
)
FUNDS: Final = (
    *(
        "账务流水号",
        "业务流水号",
        "商户订单号",
        "商品名称",
        "发生时间",
        "对方账号",
        "收入金额（+元）",
        "支出金额（-元）",
    ),
    *("账户余额（元）", "交易渠道", "业务类型", "备注"),
)
_LEFT, _RIGHT = "-" * 41, "-" * 40


class _GbkEntry(zipfile.ZipInfo):
    """An entry whose name is written in GBK without the flag that says UTF-8, as Alipay's archives have it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 -- zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def packed(rows: Sequence[BillRow], merchant: Merchant, day: date, *, kind: str, exported: datetime) -> bytes:
    """Return the zip of a merchant's bill, its names written in GBK without the flag that says UTF-8."""
    word = "业务" if kind == "trade" else "账务"
    head = f"{merchant.pid}0156_{day:%Y%m%d}_{word}"
    files = (
        {
            f"{head}明细.csv": details(rows, merchant, day, exported),
            f"{head}明细(汇总).csv": summary(rows, merchant, day),
        }
        if kind == "trade"
        else {f"{head}明细.csv": funds(rows, merchant, day, exported)}
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = _GbkEntry(name, (day.year, day.month, day.day, 9, 30, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text.encode("gbk", errors="replace"))
    return out.getvalue()


def details(rows: Sequence[BillRow], merchant: Merchant, day: date, exported: datetime) -> str:
    """Return the text of the business bill."""
    lines = [*_top("业务明细", merchant, day), f"#{_LEFT}业务明细列表{_RIGHT}", ",".join(COLUMNS)]
    lines += [_detail(row) for row in rows]
    paid, back = [row for row in rows if not row.refund_no], [row for row in rows if row.refund_no]
    lines += [
        f"#{_LEFT}业务明细列表结束{'-' * 36}",
        f"#交易合计：{len(paid)}笔，商家实收共{_sum(paid)}元，商家优惠共0.00元",
        f"#退款合计：{len(back)}笔，商家实收退款共{_sum(back)}元，商家优惠退款共0.00元",
        f"#导出时间：[{_chinese(exported)}]",
    ]
    return "\r\n".join(lines) + "\r\n"


def _detail(row: BillRow) -> str:
    yuan, none = plain_yuan(row.total_fen), "0.00"
    cells = (
        *(f"{row.trade_no}\t", f"{row.out_trade_no}\t", "退款" if row.refund_no else "交易", f"{_no_comma(row)}\t"),
        *(_time(row.created_at), _time(row.moment), "\t", "\t", "\t", f"{row.terminal_id}\t"),
        *(f"*{row.buyer_id[-3:]}(159****5620)\t", yuan, yuan, none, none, none, none, none, "", none, none),
        *(f"{row.refund_no}\t", f"{row.fee_yuan:.2f}", none, f"{row.subject}\t"),
    )
    return ",".join(cells)  # the last cell, the remark, may hold commas and is not quoted


def summary(rows: Sequence[BillRow], merchant: Merchant, day: date) -> str:
    """Return the text of the file that sums the business bill up."""
    paid, back = [row for row in rows if not row.refund_no], [row for row in rows if row.refund_no]
    fees = sum((row.fee_yuan for row in rows), Decimal(0))
    total = plain_yuan(sum(row.total_fen for row in rows))
    net = Decimal(total) + fees
    figures = (
        str(len(paid)),
        str(len(back)),
        total,
        total,
        "0.00",
        "0.00",
        "0.00",
        f"{fees:.2f}",
        "0.00",
        f"{net:.2f}",
    )
    lines = [
        *_top("业务汇总", merchant, day),
        f"#{_LEFT}业务汇总列表{_RIGHT}",
        ",".join(SUMMARY),
        ",".join(("合计\t", "\t", *figures)),
        f"#{'-' * 40}业务汇总列表结束{'-' * 37}",
    ]
    return "\r\n".join(lines) + "\r\n"


def funds(rows: Sequence[BillRow], merchant: Merchant, day: date, exported: datetime) -> str:
    """Return the text of the funds file; the balance starts at nothing on each day."""
    lines = [*_top("账务明细", merchant, day), f"#{_LEFT}账务明细列表{_RIGHT}", ",".join(FUNDS)]
    balance = Decimal(0)
    income: list[Decimal] = []
    outgo: list[Decimal] = []
    for number, row in enumerate(rows, start=1):
        moves = [
            ("在线支付" if not row.refund_no else "交易退款", Decimal(row.total_fen) / 100),
            ("收费", row.fee_yuan),
        ]
        for part, (word, change) in enumerate(moves):
            if not change:
                continue
            balance += change
            (income if change > 0 else outgo).append(change)
            cells = (
                *(f"{day:%Y%m%d}{number:08d}{part}\t", f"{row.trade_no}\t", f"{row.refund_no or row.out_trade_no}\t"),
                *(f"{_no_comma(row)}\t", _time(row.moment), f"*{row.buyer_id[-3:]}(159****5620)\t"),
                *(
                    f"{max(change, Decimal(0)):.2f}",
                    f"{min(change, Decimal(0)):.2f}",
                    f"{balance:.2f}",
                    "支付宝",
                    word,
                    "",
                ),
            )
            lines.append(",".join(cells))
    lines += [
        f"#{'-' * 40}账务明细列表结束{'-' * 37}",
        f"#支出合计：{len(outgo)}笔，共{sum(outgo, Decimal(0)):.2f}元",
        f"#收入合计：{len(income)}笔，共{sum(income, Decimal(0)):.2f}元",
        f"#导出时间：[{_chinese(exported)}]",
    ]
    return "\r\n".join(lines) + "\r\n"


def _top(word: str, merchant: Merchant, day: date) -> list[str]:
    start, end = day_bounds(day)
    return [
        f"#支付宝{word}查询",
        f"#账号：[{merchant.pid}0156]",
        f"#起始日期：[{_chinese(start)}]   终止日期：[{_chinese(end)}]",
    ]


def _no_comma(row: BillRow) -> str:
    return row.subject.replace(",", "，")


def _sum(rows: Sequence[BillRow]) -> str:
    return plain_yuan(sum(row.total_fen for row in rows))


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def _chinese(moment: datetime) -> str:
    local = moment.astimezone(BEIJING)
    return f"{local.year}年{local.month:02d}月{local.day:02d}日 {local:%H:%M:%S}"
