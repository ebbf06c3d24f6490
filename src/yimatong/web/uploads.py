"""A form with a file (RFC 7578), read from the stream into memory: nothing of it is ever written to a disk.

The framework's own reader keeps every file above one megabyte in a temporary file, in the clear. Here the form's token
stands before the file and is checked before the file is read; a file over the limit is read to its end, so that the
browser gets to see the answer, and thrown away on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

import msgspec
from litestar import Request
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from yimatong.web.errors import FormNotGenuine, UploadBroken, UploadTooLarge

_PARTS_MAX: Final = 100
_TEXT_BYTES_MAX: Final = 64 * 1024
_THROWN_AWAY: Final = 4
"""How many times the limit is read and thrown away before the connection is closed instead."""


class Upload(msgspec.Struct, kw_only=True):
    """The texts of a form, and its file; the file's name is empty where none was sent."""

    fields: dict[str, str]
    file_name: str = ""
    content: bytes = b""


class _Reader:
    """Collects the parts of one form."""

    def __init__(self, bytes_max: int, admit: Callable[[str], None]) -> None:
        self.form = Upload(fields={})
        self.size = 0
        self.admitted = False
        self._bytes_max = bytes_max
        self._admit = admit
        self._part: MultipartSegment | None = None
        self._text = bytearray()
        self._file = bytearray()

    @property
    def too_large(self) -> bool:
        return self.size > self._bytes_max

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            self._part = event
            if event.filename:
                self.admit()
                self.form.file_name = PurePath(str(event.filename).replace("\\", "/")).name[-200:]
        elif self._part is None:
            return
        elif event is None:
            self._end(self._part)
        elif self._part.filename:
            self.size += len(event)
            if self.too_large:
                self._file.clear()
            else:
                self._file += event
        else:
            self._text += event
            if len(self._text) > _TEXT_BYTES_MAX:
                raise UploadBroken

    def admit(self) -> None:
        if not self.admitted:
            self._admit(self.form.fields.get("form_token", ""))
            self.admitted = True

    def _end(self, part: MultipartSegment) -> None:
        if part.filename:
            self.form.content = bytes(self._file)
            self._file.clear()
        elif part.name:
            self.form.fields[part.name] = self._text.decode("utf-8", "replace")
        self._text.clear()
        self._part = None


async def read(request: Request[Any, Any, Any], *, bytes_max: int, admit: Callable[[str], None]) -> Upload:
    """Read the form; ``admit`` gets the form's token before any file is read, and raises where it is not genuine.

    Raises:
        UploadTooLarge: the file has more than ``bytes_max`` bytes. UploadBroken: no such form, or it is cut off.
        FormNotGenuine: the form has no token, or its file stands before it.
    """
    kind, options = request.content_type
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise FormNotGenuine
    reader = _Reader(bytes_max, admit)
    received = 0
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=_PARTS_MAX) as parser:
            async for block in request.stream():
                received += len(block)
                if received > _THROWN_AWAY * bytes_max + _TEXT_BYTES_MAX:
                    break
                if not parser.closed:
                    for event in parser.parse(block):
                        reader.take(event)
            if reader.too_large or received > bytes_max:
                raise UploadTooLarge(limit_mb=max(bytes_max >> 20, 1))
    except MultipartError as error:
        if reader.too_large:
            raise UploadTooLarge(limit_mb=max(bytes_max >> 20, 1)) from None
        raise UploadBroken from error
    reader.admit()
    return reader.form
