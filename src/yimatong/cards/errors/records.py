"""Errors of the records of issue and verification: CRD-204x."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


class SpanInvalid(Refusal):
    """The end is not after the beginning, or the span is longer than one count may cover."""

    code = "CRD-2040"
    zh = "时间范围不正确：起始时间须早于结束时间，统计跨度不超过 {days} 天"
    en = "the time span is not valid: it must end after it begins, and a count covers {days} days at most"


class TooManyGroups(Refusal):
    """A count by so many things that its table would be of no use."""

    code = "CRD-2041"
    zh = "统计结果超过 {most} 组，请缩小时间范围或减少分组项"
    en = "the count has more than {most} groups; take a shorter span or fewer things to count by"


class PageMarkInvalid(Refusal):
    """The cursor is not one that this platform gave out."""

    code = "CRD-2042"
    zh = "翻页标记不正确，请从第一页重新查询"
    en = "the page mark is not valid; search again from the first page"


class CountFieldUnknown(Refusal):
    """Something to count by that records do not have."""

    code = "CRD-2043"
    zh = "不支持按该项统计：{field}"
    en = "records cannot be counted by this: {field}"


class ArchiveAway(Unavailable):
    """A month that was archived is not in the archive folder: the folder is not mounted, or a file was moved."""

    code = "CRD-2044"
    zh = "归档文件暂时无法读取：{name}"
    en = "a file of the archive cannot be read: {name}"


class ArchiveDamaged(Unavailable):
    """A file of the archive is not what was written: altered, cut short, or sealed with a key that is gone."""

    code = "CRD-2045"
    retryable = False
    zh = "归档文件校验不通过：{name}"
    en = "a file of the archive does not hold what was archived: {name}"


class ArchiveDiffers(Unavailable):
    """What was read back from a new archive is not what the database holds; nothing was removed."""

    code = "CRD-2046"
    retryable = False
    zh = "归档校验不一致，数据未删除：{name}"
    en = "the new archive differs from the database, nothing was removed: {name}"


class MonthNotOver(Refusal):
    """A month that is not over, or that is younger than the least retention, is not archived."""

    code = "CRD-2047"
    zh = "该月份尚不能归档：{month}"
    en = "this month cannot be archived yet: {month}"


class ArchiveRunning(Refusal):
    """Another process archives at this moment."""

    code = "CRD-2048"
    status = 409
    zh = "另一个归档任务正在运行，请稍后再试"
    en = "another archive run is under way; try again later"


class MonthInvalid(Refusal):
    """No month as ``2026-11``."""

    code = "CRD-2049"
    zh = "月份格式不正确，应为 YYYY-MM：{month}"
    en = "a month is written YYYY-MM: {month}"
