"""Builds the tests' own GM/T 0018 library and sets up machines with it. Used by tests and by ``ymt drill device``."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from yimatong.crypto.gm import sm2, sm2_libcrypto
from yimatong.kit.settings import CryptoMachine

SOURCE = Path(__file__).parent / "sdf_library" / "device.c"
PIN = "12345678-tests"
COMMFAIL = 0x01000003


class NoCompiler(RuntimeError):
    """There is no C compiler; the tests of the crypto machine cannot run and must not be passed over in silence."""


def compiler() -> list[str]:
    """Return the command of a C compiler: the machine's, or the one that ``make test`` installs where there is none."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    message = "没有 C 编译器：请运行 make test 安装 / no C compiler: make test installs one"
    raise NoCompiler(message)


def build(*flags: str) -> Path:
    """Compile the library once per source and flags; return where it lies."""
    mark = hashlib.sha256(SOURCE.read_bytes() + repr((flags, sys.platform)).encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"yimatong-sdf-{os.getuid()}-{mark}.so"
    if not place.exists():
        beside = place.with_suffix(f".{secrets.token_hex(4)}")
        command = [*compiler(), "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags]
        subprocess.run([*command, "-o", str(beside), str(SOURCE), "-ldl", "-lpthread"], check=True)
        beside.replace(place)
    return place


@dataclass
class Simulated:
    """One machine: a copy of the library with its configuration beside it."""

    library: Path
    settings: CryptoMachine

    def lose(self, code: int = COMMFAIL, *, after: int = 0) -> None:
        """Every call answers ``code`` from now on, or after so many calls; sessions and handles are gone."""
        beside = self._beside("fault.new")
        beside.write_text(f"{code:x} {after}\n")
        beside.replace(self._beside("fault"))

    def bring_back(self) -> None:
        """End the loss."""
        self._beside("fault").unlink(missing_ok=True)

    @property
    def breaches(self) -> list[str]:
        """Return what the driver did against the standard."""
        place = self._beside("breaches")
        return place.read_text().splitlines() if place.exists() else []

    def configure(self, *lines: str) -> None:
        """Append to the configuration; read when the device is opened."""
        with self._beside("conf").open("a") as out:
            out.writelines(f"{line}\n" for line in lines)

    def _beside(self, ending: str) -> Path:
        return self.library.with_name(f"{self.library.name}.{ending}")


def machine(
    folder: Path, name: str = "one", *, flags: tuple[str, ...] = (), like: Simulated | None = None, **settings: object
) -> Simulated:
    """Set up a machine with fresh key pairs at indexes 1 to 3 and a KEK at 1, or with those of another."""
    place = folder / f"{name}.so"
    shutil.copyfile(build(*flags), place)
    made = Simulated(
        place,
        CryptoMachine(
            **{
                "name": name,
                "library": place,
                "pin": PIN,
                "signing_indexes": (2, 3),
                "signing_pin": PIN,
                **settings,
            }  # type: ignore[arg-type]
        ),
    )
    if like is not None:
        shutil.copyfile(like._beside("conf"), made._beside("conf"))
        return made
    made.configure(f"libcrypto {_libcrypto()}", "kek 1 " + secrets.token_hex(16))
    for index in (1, 2, 3):
        made.configure(
            f"sign {index} {sm2.generate_keypair()[0].hex()}", f"enc {index} {sm2.generate_keypair()[0].hex()}"
        )
        made.configure(f"pin {index} {PIN}")
    return made


def _libcrypto() -> str:
    for place in sm2_libcrypto._places():
        try:
            engine = sm2_libcrypto.LibcryptoEngine(sm2_libcrypto.ctypes.CDLL(place))
        except (OSError, AttributeError):
            continue
        if engine.passes_published_example():
            return place
    message = "no libcrypto with SM2"
    raise RuntimeError(message)
