"""A receipt drawn as PDF in the layout of 医疗门诊收费票据（电子） and 医疗住院收费票据（电子）.

The layout follows what the Ministry of Finance prescribes for medical receipts (《关于全面推行医疗收费电子票据管理
改革的通知》, 财综〔2019〕29号): numbers and check code, payer, items, total in figures and capitals, who paid which
part, institution with its seal. The seal of a real receipt is the issuer's electronic signature, which only the finance
department's platform can give: its place says so. Where every word stands is ours. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yimatong.cards.codes.symbols import qr_modules
from yimatong.cards.symbologies import paper
from yimatong.cards.symbologies.layout import wrap
from yimatong.cards.symbologies.paper import Paper, PlacedSymbol, PlacedText
from yimatong.kit.clock import BEIJING
from yimatong.kit.money import yuan
from yimatong.payments.receipts import slips
from yimatong.payments.receipts.issuer import IssuedReceipt, ReceiptContent
from yimatong.payments.receipts.lines import EDGE, HIGH, RIGHT, SIZE, WIDE, across, at, down, fitted
from yimatong.payments.receipts.schemas import NamedSlip
from yimatong.standards.amounts_in_words import in_capitals

TITLES: Final = {"outpatient": "医疗门诊收费票据（电子）", "inpatient": "医疗住院收费票据（电子）"}
_PARTS: Final = {
    "fund_fen": "医保统筹基金支付",
    "account_fen": "个人账户支付",
    "own_fen": "个人现金支付",
    "other_fen": "其他支付",
}
_TOP: Final = {"outpatient": 50.0, "inpatient": 60.4}
"""Where the table begins: an inpatient receipt says two lines more."""
_ROW: Final = 4.6
_FOOT: Final = 40.0
"""What the total, the parts and the seal need below the items, on the last page."""
_PLACES: Final = (EDGE, EDGE + 12, RIGHT - 56, RIGHT - 34, RIGHT)
"""Where the columns begin: number, name, quantity, amount; and the right edge."""
_NAME_LINES_MAX: Final = 3


def pdf(receipts: Sequence[tuple[ReceiptContent, IssuedReceipt]], slip: NamedSlip | None = None) -> bytes:
    """Return the slip of a deposit, if there is one, and receipts as one PDF document.

    Each receipt has as many pages as its items need.

    Raises:
        LabelFontMissing.
    """
    first = [slips.page(slip)] if slip is not None else []
    return paper.pdf([*first, *(page for content, issued in receipts for page in pages(content, issued))])


def pages(content: ReceiptContent, issued: IssuedReceipt) -> list[Paper]:
    """Return the pages of one receipt."""
    rows = [
        (line, wrap(line.name, room_mm=_room(1), size_mm=SIZE, lines_max=_NAME_LINES_MAX)) for line in content.lines
    ]
    top = _TOP[content.form]
    cut = _divided([len(names) for _, names in rows], top)
    made = []
    for number, (first, after) in enumerate(cut, start=1):
        texts, rules = _head(content, issued), [across(top), across(top + _ROW + 1)]
        texts += [
            _in_column(place, title, top + _ROW - 0.6)
            for place, title in enumerate(("序号", "项目名称", "数量", "金额（元）"))
        ]
        y = top + _ROW + 1
        for index in range(first, after):
            line, names = rows[index]
            y += 0.8
            texts += [_in_column(0, str(index + 1), y + _ROW - 1.4)]
            texts += [_in_column(1, name, y + number_of * _ROW + _ROW - 1.4) for number_of, name in enumerate(names)]
            texts += [_in_column(2, str(line.quantity), y + _ROW - 1.4)]
            texts += [_amount(yuan(line.amount_fen), y + _ROW - 1.4)]
            y += _ROW * len(names)
        y += 1.2
        rules += [across(y), *(down(place, top, y) for place in _PLACES)]
        last = number == len(cut)
        texts += _foot(content, issued, y) if last else [at(EDGE, "（接下页 continued on the next page）", y + _ROW)]
        texts.append(at(RIGHT - 28, f"第 {number} 页 共 {len(cut)} 页", HIGH - 6))
        made.append(
            Paper(width_mm=WIDE, height_mm=HIGH, symbols=(_check_link(issued),), texts=tuple(texts), rules=tuple(rules))
        )
    return made


def _divided(heights: Sequence[int], top: float) -> list[tuple[int, int]]:
    """Divide items of these heights (in lines) over pages; the last page has room for what stands below the items."""
    full, found, first, used = HIGH - 12 - top - 8, list[tuple[int, int]](), 0, 0.0
    for index, lines in enumerate(heights):
        height = lines * _ROW + 0.8
        if used + height > full and index > first:
            found.append((first, index))
            first, used = index, 0.0
        used += height
    if used > full - _FOOT:
        keep = max(first + 1, len(heights) - 1)
        if keep < len(heights):
            found.append((first, keep))
            first = keep
    return [*found, (first, len(heights))]


def _head(content: ReceiptContent, issued: IssuedReceipt) -> list[PlacedText]:
    middle = WIDE / 2
    title = TITLES[content.form]
    texts = [paper.centred(title, middle_mm=middle, y_mm=15, size_mm=6.2)]
    if content.kind == "red":
        texts.append(paper.centred("（红字 · 冲销）", middle_mm=middle, y_mm=21, size_mm=3.6))
    left, right, first, step = EDGE + 28, EDGE + 114, 27.5, 5.2
    room = right - left - 4
    when = "退费时间" if content.kind == "red" else "缴费时间"
    pairs = [
        (f"票据代码：{issued.receipt_code}", f"票据号码：{issued.receipt_no}"),
        (f"交款人：{content.payer}", f"校验码：{issued.check_code}"),
        (f"社保类型：{content.insurance}", f"开票日期：{issued.issued_at.astimezone(BEIJING):%Y-%m-%d}"),
        (f"业务单号：{content.request_no}", f"{when}：{content.at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"),
    ]
    if content.stay is not None:
        stay = content.stay
        since, until = (f"{each.astimezone(BEIJING):%Y-%m-%d}" for each in (stay.admitted_at, stay.settled_at))
        pairs += [
            (f"住院号：{stay.admission_no}", f"住院科别：{stay.department}"),
            (f"住院时间：{since} 至 {until}", ""),
        ]
    for number, (one, two) in enumerate(pairs):
        y = first + number * step
        texts += [fitted(left, one, y, room), fitted(right, two, y, RIGHT - right)]
    return texts


def _foot(content: ReceiptContent, issued: IssuedReceipt, y: float) -> list[PlacedText]:
    total = f"金额合计（大写）：{in_capitals(content.amount_fen)}"
    figures = f"（小写）：¥{yuan(content.amount_fen)}"
    texts = [fitted(EDGE, total, y + 5.5, RIGHT - 62 - EDGE), at(RIGHT - 58, figures, y + 5.5)]
    for number, (name, label) in enumerate(_PARTS.items()):
        text = f"{label}：{yuan(content.paid_fen.get(name, 0))}"
        texts.append(fitted(EDGE + number * 47, text, y + 11.5, 45))
    if content.stay is not None and content.kind == "blue":
        sums = (
            ("预缴金额", content.stay.prepaid_fen),
            ("补缴金额", content.stay.due_fen),
            ("退费金额", content.stay.back_fen),
        )
        for number, (label, fen) in enumerate(sums):
            texts.append(fitted(EDGE + number * 47, f"{label}：{yuan(fen)}", y + 17, 45))
    if content.kind == "red":
        original = f"冲销原票据：代码 {content.original_code}　号码 {content.original_no}"
        texts.append(fitted(EDGE, original, y + 17, RIGHT - EDGE))
    texts += [
        fitted(EDGE, f"收款单位（章）：{content.institution_name}", y + 23, 128),
        at(RIGHT - 56, "【电子签章处，以财政平台签章为准】", y + 23),
        fitted(EDGE, f"查验：{issued.check_url}", y + 28.5, RIGHT - EDGE),
    ]
    return texts


def _check_link(issued: IssuedReceipt) -> PlacedSymbol:
    modules = qr_modules(issued.check_url)
    return PlacedSymbol(modules=modules, x_mm=EDGE - 2, y_mm=21, module_mm=26 / modules.width)


def _room(column: int) -> float:
    return _PLACES[column + 1] - _PLACES[column] - 3


def _in_column(column: int, text: str, y: float) -> PlacedText:
    return fitted(_PLACES[column] + 1.5, text, y, _room(column))


def _amount(text: str, y: float) -> PlacedText:
    return paper.ending(text, right_mm=RIGHT - 1.5, y_mm=y, size_mm=SIZE)
