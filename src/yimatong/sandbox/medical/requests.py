# ruff: noqa: N815 -- the names are those of the wire
"""What hospitals send to the insurance, field by field. Amounts are texts of yuan on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from yimatong.kit.money import AmountInvalid, parse_yuan
from yimatong.sandbox.medical.rows import InsuranceError

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Question = TypeVar("Question", bound=msgspec.Struct)


class FeeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A line of 6201."""

    feedetlSn: Text
    detItemFeeSumamt: Text
    medListCodg: str = ""
    medinsListName: str = ""
    cnt: str = "1"


class UploadFees(msgspec.Struct, frozen=True, kw_only=True):
    """费用明细上传 (6201)."""

    orgCodg: Text
    psnNo: Text
    insutype: Text
    medOrgOrd: Text
    begntime: Text
    idNo: Text
    userName: Text
    idType: Text
    insuCode: Text
    iptOtpNo: Text
    deptCode: Text
    deptName: Text
    caty: Text
    medType: Text
    feeType: Text
    psnSetlway: Text
    chrgBchno: Text
    pubHospRfomFlag: Text
    medfeeSumamt: Text
    feedetailList: Annotated[list[FeeDetail], Meta(min_length=1)]
    ecToken: str = ""
    payAuthNo: str = ""
    mdtrtId: str = ""
    acctUsedFlag: str = ""

    @property
    def total_fen(self) -> int:
        """Return the bill in fen. Raises ``InsuranceError`` when the lines are another amount."""
        total = fen(self.medfeeSumamt)
        if sum(fen(line.detItemFeeSumamt) for line in self.feedetailList) != total or total <= 0:
            raise InsuranceError(code="6201", message="费用明细合计与总额不一致")
        return total


class PayOrder(msgspec.Struct, frozen=True, kw_only=True):
    """支付下单 (6202)."""

    payOrdId: Text
    payToken: Text
    orgCodg: Text
    orgBizSer: Text
    chrgBchno: Text
    feeType: Text
    mdtrtId: Text
    ecToken: str = ""
    payAuthNo: str = ""
    acctUsedFlag: str = ""


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """退费 (6203)."""

    payOrdId: Text
    appRefdSn: Text
    appRefdTime: Annotated[str, Meta(pattern="^[0-9]{14}(?!\\n)$")]
    refdType: Literal["ALL", "CASH", "HI"]
    totlRefdAmt: Text
    cashRefdAmt: Text
    psnAcctRefdAmt: str = "0"
    fundRefdAmt: str = "0"
    ecToken: str = ""
    payAuthNo: str = ""

    @property
    def total_fen(self) -> int:
        """Return the whole refund in fen."""
        return fen(self.totlRefdAmt)

    @property
    def fund_fen(self) -> int:
        """Return the fund's share in fen."""
        return fen(self.fundRefdAmt)

    @property
    def account_fen(self) -> int:
        """Return the account's share in fen."""
        return fen(self.psnAcctRefdAmt)

    @property
    def cash_fen(self) -> int:
        """Return the payer's own share in fen."""
        return fen(self.cashRefdAmt)


class AboutOrder(msgspec.Struct, frozen=True, kw_only=True):
    """查询 (6301), 撤销 (6401)."""

    payOrdId: Text
    payToken: Text
    orgCodg: Text
    idNo: Text
    userName: Text
    idType: Text


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange of a credential: this simulator's own, the national one is not public."""

    orgCodg: Text
    exchType: Literal["ecToken", "payAuthNo", "setlCode", "certificate"]
    ecToken: str = ""
    payAuthNo: str = ""
    setlCode: str = ""
    userName: str = ""
    idType: str = ""
    idNo: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the hospital interface."""

    infno: Annotated[str, Meta(pattern="^[0-9]{4}(?!\\n)$")]
    msgid: Annotated[str, Meta(pattern="^[0-9A-Z]{12}[0-9]{18}(?!\\n)$")]
    mdtrtarea_admvs: Annotated[str, Meta(min_length=6, max_length=6)]
    insuplc_admdvs: Annotated[str, Meta(min_length=6, max_length=6)]
    recer_sys_code: Annotated[str, Meta(min_length=1, max_length=10)]
    infver: Annotated[str, Meta(min_length=1, max_length=6)]
    opter_type: Annotated[str, Meta(min_length=1, max_length=3)]
    opter: Annotated[str, Meta(min_length=1, max_length=30)]
    opter_name: Annotated[str, Meta(min_length=1, max_length=50)]
    inf_time: Annotated[str, Meta(min_length=19, max_length=19)]
    fixmedins_code: Annotated[str, Meta(min_length=1, max_length=12)]
    cainfo: Annotated[str, Meta(max_length=1024)]
    input: dict[str, Any]


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """The ``data`` of 2206 and 2207."""

    psn_no: Text
    mdtrt_cert_type: Literal["01", "02", "03"]
    mdtrt_cert_no: Text
    med_type: Text
    medfee_sumamt: Text
    psn_setlway: Text
    mdtrt_id: Text
    chrg_bchno: Text
    insutype: Text
    acct_used_flag: Literal["0", "1"]

    @property
    def total_fen(self) -> int:
        """Return the bill in fen."""
        return fen(self.medfee_sumamt)


class WhoIs(msgspec.Struct, frozen=True, kw_only=True):
    """The ``data`` of 1101."""

    mdtrt_cert_type: Literal["01", "02", "03"]
    mdtrt_cert_no: Text
    psn_name: str = ""
    psn_cert_type: str = "01"
    certno: str = ""


class WhichSettlement(msgspec.Struct, frozen=True, kw_only=True):
    """The ``data`` of 2208 and 5203."""

    psn_no: Text
    mdtrt_id: Text
    setl_id: Text


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """The ``data`` of 2601."""

    psn_no: Text
    omsgid: Text
    oinfno: Text


class FeeLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of 2204."""

    feedetl_sn: Text
    mdtrt_id: Text
    psn_no: Text
    chrg_bchno: Text
    fee_ocur_time: Text
    det_item_fee_sumamt: Text


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The ``data`` of 3202."""

    fixmedins_code: Text
    stmt_begndate: Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}(?!\\n)$")]
    stmt_enddate: Text


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """The ``fsDownloadIn`` of 9102."""

    file_qury_no: Text
    filename: Text
    fixmedins_code: Text


def read(content: Any, shape: type[Question], code: str) -> Question:
    """Return a request. Raises ``InsuranceError`` with ``code`` for another shape."""
    try:
        return msgspec.convert(content, shape)
    except msgspec.ValidationError as error:
        raise InsuranceError(code=code, message=f"参数错误: {error}") from error


def fen(text: str) -> int:
    """Return an amount of yuan in fen. Raises ``InsuranceError``."""
    try:
        found = parse_yuan(text)
    except AmountInvalid as error:
        raise InsuranceError(code="400", message="金额格式错误") from error
    if found < 0:
        raise InsuranceError(code="400", message="金额不能为负")
    return found
