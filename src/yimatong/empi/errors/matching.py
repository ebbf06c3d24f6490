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


class LinkageMemory(Refusal):
    """Bulk linkage needs more memory than it was given; nothing was written."""

    code = "EMP-5004"
    status = 413
    zh = "批量关联超出内存上限 {memory_mb} MB；请加大上限（--memory-mb）或分批进行"
    en = "bulk linkage needs more than {memory_mb} MB; raise the limit (--memory-mb) or link in parts"


class SpillNotEncrypted(Refusal):
    """DuckDB cannot encrypt its temporary files here: its httpfs extension is not installed."""

    code = "EMP-5005"
    zh = "DuckDB 无法加密临时文件（缺少 httpfs 扩展）；请安装该扩展，或不指定临时目录而只用内存"
    en = "DuckDB cannot encrypt its temporary files (its extension httpfs is missing); install it or stay in memory"


class LinkageColumns(Refusal):
    """A file to be trained on or linked has not the columns that its settings read."""

    code = "EMP-5006"
    zh = "文件缺少列：{columns}"
    en = "the file has no column: {columns}"


class SparkMissing(Refusal):
    """The Spark engine was asked for where it is not installed."""

    code = "EMP-5007"
    zh = "Spark 引擎不可用，缺少：{missing}"
    en = "the Spark engine cannot be used here; missing: {missing}"


class MatchModelUnknown(Refusal):
    """No matching model of this version is stored."""

    code = "EMP-5008"
    status = 404
    zh = "没有版本为 {version} 的匹配模型"
    en = "there is no matching model of version {version}"


class TrainingImpossible(Refusal):
    """The data say too little to learn from: too few records, or no pair that is all but certain."""

    code = "EMP-5009"
    zh = "数据不足，无法训练：{detail}"
    en = "the data are not enough to train on: {detail}"


class RuleSetNotFound(Refusal):
    """No rule set of this version."""

    code = "EMP-5101"
    status = 404
    zh = "没有版本为 {version} 的匹配规则"
    en = "there is no rule set of version {version}"


class RuleSetNotDraft(Refusal):
    """The rule set was proposed or decided already."""

    code = "EMP-5102"
    status = 409
    zh = "该匹配规则已提交或已生效，不能再试运行或提交；请另建草稿"
    en = "the rule set was proposed or decided already; draft another one"


class RuleSetNotTried(Refusal):
    """A rule set is proposed with what it would change; nobody has tried this one to the end."""

    code = "EMP-5103"
    status = 409
    zh = "请先试运行该匹配规则，看到影响范围后再提交"
    en = "try the rule set first: it is proposed together with what it would change"


class RuleSetUnchanged(Refusal):
    """The draft says what is in force already."""

    code = "EMP-5104"
    status = 409
    zh = "草稿与现行匹配规则相同"
    en = "the draft is what is in force already"


class RuleRunRunning(Refusal):
    """The rule set is being tried or applied at this moment."""

    code = "EMP-5105"
    status = 409
    zh = "该匹配规则正在试运行或应用中"
    en = "the rule set is being tried or applied right now"


class RuleRunNotFound(Refusal):
    """No such run."""

    code = "EMP-5106"
    status = 404
    zh = "没有该次运行"
    en = "no such run"
