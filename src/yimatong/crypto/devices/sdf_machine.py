"""One GM/T 0018 machine: its device handle, a bounded pool of sessions, and its way back after a loss.

A machine is ``in`` (it takes work) or ``out``. It goes out when it answers as one that is lost or sick, and a thread of
its own brings it back: it waits until nobody is inside, closes what can be closed, opens device and session anew, has
the keys checked (``admit``), and tries again with growing pauses until that succeeds. Nothing restarts.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from ctypes import byref, c_void_p
from typing import Final, TypeVar

from yimatong.crypto.devices.sdf_abi import Library
from yimatong.crypto.devices.sdf_session import Quirks, Session
from yimatong.crypto.errors import DeviceUnavailable
from yimatong.crypto.errors.sdf import SdfAnswerWrong, SdfSessionsBusy
from yimatong.crypto.errors.sdf_codes import Kind, SdfError, SdfSessionNotOpened
from yimatong.crypto.log import CryptoLog
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import CryptoMachine

_T = TypeVar("_T")
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


class Machine:
    """Any thread may call it.

    ``admit`` is called with a session of a machine that has just been opened, ``came_in`` when it takes work.
    """

    def __init__(
        self, settings: CryptoMachine, admit: Callable[[Machine, Session], None], came_in: Callable[[], None]
    ) -> None:
        """Load the library; nothing is opened yet. Raises ``SdfLibraryUnusable``."""
        self.settings: Final = settings
        self.name: Final = settings.name
        self.library: Final = Library.load(settings.library, serialised=settings.serialised, wait_s=settings.wait_s)
        self.reason: Exception | None = None
        self._admit = admit
        self._came_in = came_in
        self._quirks = Quirks()
        self._pins = _pins(settings)
        self._handle: int | None = None
        self._idle: list[Session] = []
        self._inside = 0
        self._limit = settings.sessions
        self._in = False
        self._closing = False
        self._recovering = False
        self._changed = threading.Condition()
        self._process = os.getpid()

    @property
    def is_in(self) -> bool:
        """Whether it takes work."""
        return self._in

    def start(self) -> None:
        """Try to open it now; if that fails it is out, and tried again in the background."""
        try:
            self._open()
        except PlatformError as error:
            self.take_out(error)

    def use(self, work: Callable[[Session], _T], *, critical: bool) -> _T:
        """Do ``work`` with a session of its own.

        A session from the pool may be older than a restart that nobody saw, so what fails there is tried once more in
        a new one. ``critical``: input that cannot be wrong; whatever fails then means that the machine is sick.

        Raises:
            DeviceUnavailable: it is out, or has just gone out.
            SdfSessionsBusy: no session came free in time.
            SdfError: not critical, and the machine declined.
        """
        self._enter()
        try:
            try:
                return self._with_session(work, fresh=False)
            except _Stale:
                return self._with_session(work, fresh=True)
        except (SdfError, SdfAnswerWrong) as error:
            if critical or getattr(error, "kind", Kind.LOST) is Kind.LOST:
                self.take_out(error)
                raise DeviceUnavailable(device=self.name) from error
            raise
        finally:
            self._leave()

    def take_out(self, reason: PlatformError) -> None:
        """Stop giving it work and bring it back in the background."""
        with self._changed:
            was_in, self._in, self.reason = self._in, False, reason
            start = not self._recovering and not self._closing
            self._recovering = self._recovering or start
        if was_in:
            CryptoLog.DEVICE_LOST.emit(device=self.name, reason=str(reason))
        if start:
            threading.Thread(target=self._recover, name=f"sdf-{self.name}", daemon=True).start()

    def renew(self) -> None:
        """Close the idle sessions, and with them handles of keys that may be gone from the book."""
        with self._changed:
            old, self._idle = self._idle, []
        for session in old:
            _close_quietly(session)

    def close(self) -> None:
        """Close everything for good."""
        with self._changed:
            self._in, self._closing = False, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._inside == 0 and not self._recovering, timeout=10)
        self._shut()

    # -- the pool -----------------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        if os.getpid() != self._process:
            self._after_fork()
        deadline = time.monotonic() + self.settings.wait_s
        with self._changed:
            while True:
                if not self._in:
                    raise DeviceUnavailable(device=self.name) from self.reason
                if self._inside < self._limit:
                    self._inside += 1
                    return
                if not self._changed.wait(deadline - time.monotonic()):
                    raise SdfSessionsBusy(device=self.name)

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def _with_session(self, work: Callable[[Session], _T], *, fresh: bool) -> _T:
        if fresh:
            self.renew()
        with self._changed:
            session = self._idle.pop() if self._idle else None
        reused = session is not None
        session = session or self._new_session()
        try:
            done = work(session)
        except SdfError as error:
            _close_quietly(session)
            if reused:
                raise _Stale from error
            raise
        except BaseException:  # whatever state the session is in: it is not used again
            _close_quietly(session)
            raise
        with self._changed:
            if self._in:
                self._idle.append(session)
                return done
        _close_quietly(session)
        return done

    def _new_session(self) -> Session:
        out = c_void_p()
        try:
            self.library.call("SDF_OpenSession", c_void_p(self._handle), byref(out), device=self.name)
        except SdfSessionNotOpened as error:
            with self._changed:
                others = self._inside - 1 + len(self._idle)  # in use, or just given back
                if others < 1:
                    raise
                self._limit = others  # others are open: the device has fewer than the settings say
            raise SdfSessionsBusy(device=self.name) from error
        if out.value is None:
            raise SdfAnswerWrong(device=self.name, what="SDR_OK without a session handle")
        return Session(self.library, out.value, device=self.name, pins=self._pins, quirks=self._quirks)

    # -- there and back -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        out = c_void_p()
        self.library.call("SDF_OpenDevice", byref(out), device=self.name)
        if out.value is None:
            raise SdfAnswerWrong(device=self.name, what="SDR_OK without a device handle")
        self._handle = out.value
        try:
            session = self._new_session()
            maker, model, serial = session.info()
            self._admit(self, session)
        except BaseException:
            self._shut()
            raise
        with self._changed:
            self._idle.append(session)
            self._in, self.reason = True, None
            self._changed.notify_all()
        CryptoLog.DEVICE_BACK.emit(device=self.name, maker=maker, model=model, serial=serial)
        self._came_in()

    def _shut(self) -> None:
        """Close sessions and device as far as they let themselves be closed; a lost device does not answer."""
        self.renew()
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(PlatformError):
                self.library.call("SDF_CloseDevice", c_void_p(handle), device=self.name)

    def _recover(self) -> None:
        pause, told = _FIRST_PAUSE_S, ""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._inside == 0)  # closing under a running call is undefined
            self._shut()
            if not self._closing:
                try:
                    self._open()
                except Exception as error:  # noqa: BLE001 -- whatever it was, the machine must have its way back
                    self.reason = error
                    if getattr(error, "kind", None) is not Kind.LOST and told != type(error).__name__:
                        told = type(error).__name__
                        CryptoLog.DEVICE_NOT_TAKEN.emit(device=self.name, reason=str(error))
            with self._changed:
                if self._in or self._closing:
                    self._recovering = False
                    self._changed.notify_all()
                    return
                self._changed.wait_for(lambda: self._closing, timeout=pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _after_fork(self) -> None:
        """Open the device anew in a child: handles of the parent are not the child's."""
        self._changed, self._process = threading.Condition(), os.getpid()
        self._handle, self._idle, self._inside, self._in, self._recovering = None, [], 0, False, False
        self.start()


class _Stale(Exception):
    """A session from the pool failed."""


def _close_quietly(session: Session) -> None:
    with contextlib.suppress(PlatformError):
        session.close()


def _pins(settings: CryptoMachine) -> dict[int, bytes]:
    pins = {index: settings.signing_pin.encode() for index in settings.signing_indexes if settings.signing_pin}
    if settings.pin:
        pins[settings.key_index] = settings.pin.encode()
    return pins
