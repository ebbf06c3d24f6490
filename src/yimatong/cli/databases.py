"""Say what is wrong with a database that somebody named, without its password."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg

from yimatong.cli.binaries import OLDEST
from yimatong.cli.errors import DatabaseUrlInvalid

SCHEMES = {"postgresql", "postgres"}

_SIGNS = (
    (("password authentication failed", "no password supplied"), "用户名或密码不对", "wrong user or password"),
    (("does not exist",), "用户或数据库不存在", "no such role or database"),
    (("could not translate host name", "failed to resolve host", "Name or service"), "主机名无法解析", "unknown host"),
    (("Connection refused", "No such file or directory"), "没有数据库在那里监听", "nothing listens there"),
    (("timeout", "timed out"), "连接超时", "no answer in time"),
    (("no pg_hba.conf entry",), "服务器不允许从这里登录", "the server does not admit us from here"),
    (("SSL", "certificate"), "加密连接失败", "the encrypted connection failed"),
)


def without_password(url: str) -> str:
    """Return host, port and database of a URL, for people; ``?`` for what is no URL of a database."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            return "?"
        host = parts.hostname or "local"
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "?"
    return f"{host}{port}{parts.path}"


def check_server(url: str) -> None:
    """Try a database: reachable, PostgreSQL 15 or newer, UTF-8, and we may make tables in it.

    Raises:
        DatabaseUrlInvalid: says which of these fails.
    """
    where = without_password(url)
    if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        raise DatabaseUrlInvalid(
            where=where, reason_zh="地址应以 postgresql:// 开头", reason_en="the address begins with postgresql://"
        )
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            version = connection.info.server_version // 10_000
            encoding, may_create = connection.execute(
                "SELECT pg_encoding_to_char(encoding),"
                " has_schema_privilege(current_schema(), 'CREATE') FROM pg_database WHERE datname = current_database()"
            ).fetchone() or ("", False)
    except (psycopg.Error, ValueError) as error:
        raise _explained(where, str(error)) from None
    if version < OLDEST:
        raise DatabaseUrlInvalid(
            where=where,
            reason_zh=f"版本是 PostgreSQL {version}，需要 {OLDEST} 或更高",
            reason_en=f"it is PostgreSQL {version}, and {OLDEST} or newer is needed",
        )
    if encoding != "UTF8":
        raise DatabaseUrlInvalid(where=where, reason_zh=f"编码是 {encoding}，需要 UTF8", reason_en="it is not in UTF8")
    if not may_create:
        raise DatabaseUrlInvalid(
            where=where, reason_zh="该用户没有建表的权限", reason_en="this role may not create tables in it"
        )


def _explained(where: str, said: str) -> DatabaseUrlInvalid:
    for signs, reason_zh, reason_en in _SIGNS:
        if any(sign.lower() in said.lower() for sign in signs):
            return DatabaseUrlInvalid(where=where, reason_zh=reason_zh, reason_en=reason_en)
    return DatabaseUrlInvalid(where=where, reason_zh="无法连接或地址格式不对", reason_en="no connection, or not a URL")
