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
