"""Errors of batches: CRD-4xxx. Those of a file refuse it whole; those of a row (CRD-41xx) stand in the report."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class BatchFileUnreadable(Refusal):
    """Not a CSV or XLSX file that can be read."""

    code = "CRD-4001"
    status = 422
    zh = "文件无法读取：{detail}"
    en = "the file cannot be read: {detail}"


class BatchColumnsMissing(Refusal):
    """A column that the kind of batch needs is not there, or is named twice."""

    code = "CRD-4002"
    status = 422
    zh = "缺少必需的列：{columns}；文件中的列：{found}"
    en = "columns are missing: {columns}; the file has: {found}"


class BatchEmpty(Refusal):
    """The file has a heading and no rows, or nothing at all."""

    code = "CRD-4003"
    status = 422
    zh = "文件中没有数据行"
    en = "the file has no rows"


class BatchNotFound(Refusal):
    """No such batch, or none that the operator may see."""

    code = "CRD-4004"
    status = 404
    zh = "没有找到该批次"
    en = "no such batch"


class BatchStateWrong(Refusal):
    """What was asked for does not fit the batch's state."""

    code = "CRD-4005"
    status = 409
    zh = "批次当前状态为“{state}”，不能执行该操作"
    en = "the batch is {state}; this cannot be done now"


class BatchOptionInvalid(Refusal):
    """An institution, a tag or a mapping that does not fit the kind of batch."""

    code = "CRD-4006"
    status = 422
    zh = "导入选项不正确：{detail}"
    en = "an option of the import is wrong: {detail}"


class BatchUploadGone(Refusal):
    """The uploaded file is no longer kept: its columns were chosen, or an hour has passed."""

    code = "CRD-4007"
    status = 404
    zh = "上传的文件已不再保留，请重新上传"
    en = "the uploaded file is no longer kept; upload it again"


class RowNumberByExcel(Refusal):
    """A spreadsheet turned the certificate number into a floating-point number; its last digits are lost."""

    code = "CRD-4101"
    status = 422
    zh = "证件号码已被电子表格转换为科学计数（末位已丢失），请将该列设为文本后重新录入"
    en = "the spreadsheet turned the number into a float and lost its last digits; make the column text, enter it again"


class RowFieldEmpty(Refusal):
    """A field that a resident needs is empty."""

    code = "CRD-4102"
    status = 422
    zh = "“{field}”为空"
    en = "{field} is empty"


class RowFieldInvalid(Refusal):
    """A field has a value that cannot be one of its kind."""

    code = "CRD-4103"
    status = 422
    zh = "“{field}”的值不正确"
    en = "{field} has an impossible value"


class RowRepeated(Refusal):
    """An earlier row of the same file names the same resident."""

    code = "CRD-4106"
    status = 422
    zh = "与本文件第 {row} 行重复"
    en = "this repeats row {row} of the file"


class VisitCardTaken(Refusal):
    """The hospital's visit card number stands for another resident already."""

    code = "CRD-4104"
    status = 409
    zh = "该就诊卡号已对应另一位居民"
    en = "this visit card number stands for another resident already"


class VisitCardNotFound(Refusal):
    """No such visit card at this institution."""

    code = "CRD-4105"
    status = 404
    zh = "本机构没有该就诊卡号的对应记录"
    en = "no such visit card at this institution"
