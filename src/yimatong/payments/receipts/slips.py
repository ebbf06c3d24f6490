"""The slip of an inpatient's deposit (住院预交金收据), drawn as one page.

A deposit is money held for the patient and not the hospital's income, so it is no charge that a medical receipt
(医疗收费票据) may be issued for: hospitals give a slip of their own, and the receipt comes when the stay is settled and
lists it as 预缴金额. The slip is drawn from the order alone and says so. Where every word stands is ours. Pure.
"""

from __future__ import annotations

from typing import Final

from yimatong.cards.symbologies import paper
from yimatong.cards.symbologies.paper import Paper
from yimatong.kit.clock import BEIJING
from yimatong.kit.money import yuan
from yimatong.payments.receipts.lines import EDGE, HIGH, RIGHT, SIZE, WIDE, across, at, fitted
from yimatong.payments.receipts.schemas import NamedSlip

TITLE: Final = "住院预交金收据"
NO_RECEIPT: Final = "本收据仅证明已收到预交金，不是财政票据，不作报销凭证；出院结算后开具医疗住院收费票据（电子）。"
_CHANNELS: Final = {
    "wechat": "微信支付",
    "alipay": "支付宝",
    "unionpay": "银联",
    "quickpay": "银行卡快捷支付",
    "netbank": "网上银行",
    "credit": "信用支付",
}
_TOP, _STEP, _MIDDLE = 34.0, 8.0, 108.0


def page(named: NamedSlip) -> Paper:
    """Return the page of a deposit's slip."""
    slip = named.slip
    room = _MIDDLE - EDGE - 6
    pairs = (
        (f"交款人：{named.payer or '（未提供）'}", f"缴费时间：{slip.paid_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"),
        (f"业务单号：{slip.order_no}", f"医院单号：{slip.source_id}"),
        (f"支付方式：{_CHANNELS.get(slip.channel, slip.channel)}", f"支付流水号：{slip.channel_trade_no}"),
    )
    texts = [
        paper.centred(TITLE, middle_mm=WIDE / 2, y_mm=18, size_mm=6.2),
        paper.centred("（非财政票据）", middle_mm=WIDE / 2, y_mm=24.5, size_mm=3.6),
    ]
    for number, (one, two) in enumerate(pairs):
        y = _TOP + number * _STEP
        texts += [fitted(EDGE, one, y, room), fitted(_MIDDLE, two, y, RIGHT - _MIDDLE)]
    y = _TOP + len(pairs) * _STEP + 4
    texts += [
        fitted(EDGE, f"收到预交金（大写）：{slip.amount_in_words}", y, RIGHT - 62 - EDGE),
        at(RIGHT - 58, f"（小写）：¥{yuan(slip.amount_fen)}", y),
    ]
    sums = (("已抵住院费用", slip.used_fen), ("已退或退款中", slip.returned_fen), ("预交金余额", slip.held_fen))
    for number, (label, fen) in enumerate(sums):
        texts.append(fitted(EDGE + number * 62, f"{label}：¥{yuan(fen)}", y + _STEP, 58))
    texts += [
        fitted(EDGE, f"收款单位（章）：{named.institution_name}", y + 3 * _STEP, RIGHT - EDGE),
        fitted(EDGE, NO_RECEIPT, HIGH - 20, RIGHT - EDGE),
    ]
    rules = (across(_TOP - SIZE * 2), across(y - SIZE * 2), across(y + _STEP + SIZE))
    return Paper(width_mm=WIDE, height_mm=HIGH, texts=tuple(texts), rules=rules)
