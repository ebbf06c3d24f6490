from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import msgspec
import pytest

from yimatong.sandbox.store import JournalBroken, Store


class Note(msgspec.Struct, frozen=True):
    text: str


async def test_what_was_flushed_is_there_again_and_the_rest_is_not(tmp_path):
    store = Store(tmp_path)
    notes = store.table("notes", Note)
    notes.put("a", Note("one"))
    notes.put("b", Note("two"))
    await store.flush()
    notes.put("a", Note("three"))
    notes.remove("b")
    await store.flush()
    notes.put("c", Note("lost"))
    store.close()
    again = Store(tmp_path)
    assert list(again.table("notes", Note)) == [Note("three")]
    again.close()


async def test_a_caller_that_goes_away_tears_nothing(tmp_path):
    store = Store(tmp_path)
    notes = store.table("notes", Note)
    for number in range(50):
        notes.put(str(number), Note("x"))
        flushing = asyncio.create_task(store.flush())
        await asyncio.sleep(0)
        flushing.cancel()
    await store.flush()
    store.close()
    again = Store(tmp_path)
    assert len(again.table("notes", Note)) == 50
    again.close()


async def test_torn_last_line_is_cut_off_and_writing_goes_on(tmp_path):
    store = Store(tmp_path)
    store.table("notes", Note).put("a", Note("one"))
    await store.flush()
    store.close()
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'[["notes","b",{"te')
    again = Store(tmp_path)
    notes = again.table("notes", Note)
    notes.put("c", Note("two"))
    await again.flush()
    again.close()
    third = Store(tmp_path)
    assert list(third.table("notes", Note)) == [Note("one"), Note("two")]
    third.close()


async def test_broken_line_in_the_middle_is_loud(tmp_path):
    (tmp_path / "journal.jsonl").write_bytes(b'[["notes","a",{"text":"one"}]]\nnonsense\n[]\n')
    with pytest.raises(JournalBroken, match="line 2"):
        Store(tmp_path)


_WRITER = """
import asyncio, sys
from pathlib import Path
import msgspec
from yimatong.sandbox.store import Store

class Note(msgspec.Struct, frozen=True):
    text: str

async def one(notes, store, number):
    notes.put(str(number), Note("x" * 500))
    await store.flush()
    print(number, flush=True)

async def main():
    store = Store(Path(sys.argv[1]))
    notes = store.table("notes", Note)
    for start in range(0, 10**9, 8):
        await asyncio.gather(*(one(notes, store, start + k) for k in range(8)))

asyncio.run(main())
"""


def test_everything_acknowledged_survives_a_kill(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(_WRITER), tmp_path], stdout=subprocess.PIPE)
    acknowledged = [int(writer.stdout.readline()) for _ in range(200)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
    writer.stdout.close()
    writer.wait()
    store = Store(tmp_path)
    notes = store.table("notes", Note)
    assert [number for number in acknowledged if notes.get(str(number)) is None] == []
    store.close()
