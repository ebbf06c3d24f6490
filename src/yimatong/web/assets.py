"""The browser's files: read once, served from memory, gzip made once, named by digest and therefore kept for a year.

Only files found in ``static/`` at the start can be asked for; a path is a key of a table and never touches the disk.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.errors import NotFound

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_YEAR = "public, max-age=31536000, immutable"
_HOUR = "public, max-age=3600"


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file with its type, its digest and its compressed form."""

    media_type: str
    digest: str
    plain: bytes
    packed: bytes


def _read() -> dict[str, Asset]:
    found = {}
    for file in sorted(_FOLDER.rglob("*")):
        if file.suffix in _TYPES and file.is_file():
            plain = file.read_bytes()
            found[file.relative_to(_FOLDER).as_posix()] = Asset(
                media_type=_TYPES[file.suffix],
                digest=sm3(plain).hex()[:12],
                plain=plain,
                packed=gzip.compress(plain, 9, mtime=0),
            )
    return found


_ASSETS: Final = _read()


def asset(name: str) -> str:
    """Return the address of a file by its name below ``static/``; it changes when the file does."""
    found = _ASSETS.get(name)
    return f"/static/{name}?v={found.digest}" if found else f"/static/{name}"


def missing() -> list[str]:
    """Return the files fetched at installation that are not there (``make up`` and ``make test`` fetch them)."""
    return [name for name in ("vendor/tabler.min.css", "vendor/htmx.min.js") if name not in _ASSETS]


@get("/static/{name:path}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def read_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """Answer one file of ``static/``."""
    found = _ASSETS.get(name.lstrip("/"))
    if found is None:
        raise NotFound
    tag = f'"{found.digest}"'
    current = request.query_params.get("v") == found.digest
    headers = {"cache-control": _YEAR if current else _HOUR, "etag": tag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.media_type, headers=headers | {"content-encoding": "gzip"})
    return Response(found.plain, media_type=found.media_type, headers=headers)


ROUTES = [read_asset]
