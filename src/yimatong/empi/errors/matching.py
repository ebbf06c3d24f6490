"""Errors of matching: settings, models, rule sets, linkage (5xxx)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class MatchSettingsInvalid(Refusal):
    """A settings file of matching has another shape, or names a comparator, level, guard or column nobody knows."""

    code = "EMP-5001"
    zh = "匹配配置不可用：{detail}"
    en = "the settings of matching cannot be used: {detail}"


class MatchModelInvalid(Refusal):
    """A matching model does not fit its own settings: a level without shares, a share out of range."""

    code = "EMP-5002"
    zh = "匹配模型不可用：{detail}"
    en = "the matching model cannot be used: {detail}"


class MatchThresholdsInvalid(Refusal):
    """The threshold of review lies above that of linking, or one is no number."""

    code = "EMP-5003"
    zh = "匹配阈值不可用：人工核对阈值不得高于自动关联阈值"
    en = "the thresholds cannot be used: review must not lie above link"
