from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.kit import cursors
from yimatong.kit.errors import InvalidInput

words = st.text(st.characters(exclude_characters="\n\0", codec="utf-8"), max_size=40)


@given(st.datetimes(timezones=st.just(UTC)), st.lists(words, max_size=3))
def test_what_is_written_is_read(at: datetime, texts: list[str]) -> None:
    cursor = cursors.write(at, *texts)
    assert cursors.read(cursor, texts=len(texts)) == (at, *texts)
    with pytest.raises(InvalidInput):
        cursors.read(cursor, texts=len(texts) + 1)


@given(st.text(max_size=60))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        cursors.read(text, texts=1)
