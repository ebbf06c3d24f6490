"""Error catalogue of the pages (WEB-)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class FormNotGenuine(Refusal):
    """A form without the token of this browser's session: sent by another site, or the page is too old."""

    code = "WEB-1001"
    status = 403
    zh = "页面已过期，请刷新后重试"
    en = "this page is out of date; reload it and try again"


class FilterInvalid(Refusal):
    """A filter or page mark in the address that this page does not know."""

    code = "WEB-1002"
    status = 422
    zh = "查询条件不正确：{detail}"
    en = "the filter is not valid: {detail}"


class UploadTooLarge(Refusal):
    """A file is larger than the settings let the pages take (``upload_bytes_max``); the command takes any size."""

    code = "WEB-1003"
    status = 413
    zh = "文件超过 {limit_mb} MB，请用命令 ymt import 导入"
    en = "the file is larger than {limit_mb} MB; use the command ymt import"


class UploadBroken(Refusal):
    """A form with a file that is cut off or not of its kind."""

    code = "WEB-1004"
    status = 400
    zh = "上传没有完成，请重试"
    en = "the upload was not complete; try again"
