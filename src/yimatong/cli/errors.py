"""What the command line refuses, each in one clear sentence."""

from __future__ import annotations

import sys

from yimatong.kit.errors import PlatformError, Refusal


class PortTaken(Refusal):
    """Another process listens on a port that is needed."""

    code = "CLI-1001"
    zh = "端口 {port} 已被{holder_zh}占用，请先停止它，或用 --port-base 换一组端口"
    en = "port {port} is taken by {holder_en}; stop that, or choose other ports with --port-base"


class FolderUnusable(Refusal):
    """The data folder cannot be written, or the database's user cannot reach it."""

    code = "CLI-1002"
    zh = "目录 {path} 不可用：{reason_zh}"
    en = "the folder {path} cannot be used: {reason_en}"


class DatabaseUrlInvalid(Refusal):
    """The given database cannot be used."""

    code = "CLI-1003"
    zh = "数据库 {where} 不可用：{reason_zh}"
    en = "the database {where} cannot be used: {reason_en}"


class PostgresMissing(Refusal):
    """No PostgreSQL binaries for this machine."""

    code = "CLI-1004"
    zh = "找不到 PostgreSQL 15 或更高版本的程序，请安装 PostgreSQL，或用 --database-url 指定数据库"
    en = "no PostgreSQL 15 or newer was found; install one, or name a server with --database-url"


class PostgresFailed(Refusal):
    """The local PostgreSQL could not be made or started."""

    code = "CLI-1005"
    zh = "本机 PostgreSQL 无法{action_zh}：{detail}（日志 {log}）"
    en = "the local PostgreSQL could not be {action_en}: {detail} (log {log})"


class AlreadyRunning(Refusal):
    """Another platform runs on the same data."""

    code = "CLI-1006"
    zh = "平台已经在运行（数据目录 {path}），请先停止它"
    en = "a platform is already running on the data in {path}; stop it first"


class ProcessFailed(Refusal):
    """A process of the platform ended or did not become ready."""

    code = "CLI-1007"
    zh = "进程 {name} 没有启动成功：{detail}（日志 {log}）"
    en = "the process {name} did not start: {detail} (log {log})"


class CheckoutNeeded(Refusal):
    """A command that works on a source checkout only."""

    code = "CLI-1008"
    zh = "{command} 只能在源码目录中运行"
    en = "{command} works in a source checkout only"


class UnknownName(Refusal):
    """No such process, benchmark or drill."""

    code = "CLI-1009"
    zh = "没有名为 {name} 的{kind_zh}，可用的有：{known}"
    en = "there is no {kind_en} named {name}; there are: {known}"


class PartMissing(Refusal):
    """A part of the platform that this command needs is not in this version."""

    code = "CLI-1010"
    zh = "这个版本还没有 {part}"
    en = "this version has no {part} yet"


class MessageNotParked(Refusal):
    """``ymt outbox replay`` was given a message that is not parked, or none."""

    code = "CLI-1016"
    status = 422
    zh = "消息 {message_id} 不存在或未处于待人工处理状态（ymt outbox parked 可查看）"
    en = "message {message_id} does not exist or is not parked (see ymt outbox parked)"


class DemonstrationOnly(Refusal):
    """A command that must never touch a production installation."""

    code = "CLI-1011"
    zh = "{command} 只用于演示环境，当前配置是生产模式"
    en = "{command} is for demonstrations; the settings say production"


class StoryFailed(Refusal):
    """A step of the demonstration did not come true."""

    code = "CLI-1012"
    zh = "演示在「{step}」失败：{detail}"
    en = "the demonstration failed at {step}: {detail}"


class NothingListens(Refusal):
    """The platform is not running where the settings say."""

    code = "CLI-1013"
    zh = "{address} 没有程序在监听，请先运行 make up"
    en = "nothing listens at {address}; run make up first"


class InputUnreadable(Refusal):
    """Something that a person was asked for is missing or has another form."""

    code = "CLI-1014"
    zh = "无法读取：{what}"
    en = "cannot be read: {what}"


class FileOpenToOthers(Refusal):
    """A file with a secret in it that others on the machine may read."""

    code = "CLI-1019"
    zh = "{path} 含有密钥，权限须为 0600 或 0400"
    en = "{path} holds a secret and must be closed to others (mode 0600 or 0400)"


def say_error(error: BaseException) -> None:
    """Write one sentence, Chinese first, to standard error."""
    if isinstance(error, PlatformError):
        text = f"{error.text('zh')}。 / {error.text('en')}."
    elif isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        text = f"{name}{error.strerror or error}。"
    else:
        text = str(error)
    sys.stderr.write(f"错误：{text}\n")


class AdministratorsKnown(Refusal):
    """The first security administrator is entered while there is no operator at all; afterwards people log in."""

    code = "CLI-1015"
    status = 409
    zh = "已有操作员，不能再登记首位安全管理员；请由安全管理员登录后登记他人"
    en = "there are operators already: a security administrator logs in and enters others"
