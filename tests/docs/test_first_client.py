"""The ten lines of the README run against a platform that was just started, and answer what they promise."""

import re
import subprocess
import sys

import pytest

from yimatong.cli.platform import LocalPlatform


def lines(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_both_languages_print_the_same_client(text_of):
    assert lines(text_of("README.md")) == lines(text_of("README.zh-CN.md"))


@pytest.mark.slow
def test_ten_lines(text_of, data_folder, tmp_path):
    (code,) = lines(text_of("README.md"))
    script = tmp_path / "first_client.py"
    script.write_text(code, "utf-8")
    platform = LocalPlatform(data_folder)
    try:
        platform.start(["sandbox", "core", "institution-front", "internet-front"])
        command = [sys.executable, "-X", "utf8", str(script), str(data_folder)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    finally:
        platform.stop()
    assert done.returncode == 0, done.stderr
    shown, resident = done.stdout.splitlines()
    assert re.fullmatch(r"[0-9A-F]{64}:0:[0-9A-F]{32}", shown)
    assert "'name': '林小满'" in resident
