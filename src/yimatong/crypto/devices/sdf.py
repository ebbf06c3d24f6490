"""The ``sdf`` device: keys in crypto machines behind the C interface of GM/T 0018, one machine or several.

No key stands in a file in the clear. The book (:mod:`.keybook`) holds, for every version, where it lies: per machine
the key wrapped under that machine's own key pair or KEK. A session takes in what it needs and keeps the handle. A
machine that comes (back) is used only if every key it holds has the check value of the book.

Machines are asked in the order of the settings; the next one when one is lost. A version that a machine does not have
yet is passed on by one that has it, inside the machines (``SDF_ExchangeDigitEnvelopeBaseOnECC``). With all machines
lost every call raises ``DeviceUnavailable``: nothing is made, nothing verifies.

Signing key pairs are made by the maker's tool; the settings name their indexes, the book their public keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from yimatong.crypto.devices import versions
from yimatong.crypto.devices.base import KeyState, KeyUsage
from yimatong.crypto.devices.keybook import KeyBook
from yimatong.crypto.devices.keystore import Contents, Key, Keystore
from yimatong.crypto.devices.sdf_machine import Machine
from yimatong.crypto.devices.sdf_session import Session, Wrapped
from yimatong.crypto.errors import (
    BackupRefused,
    ComponentMismatch,
    DemonstrationKeysInProduction,
    DeviceUnavailable,
    KeystoreExists,
    KeystoreUnreadable,
)
from yimatong.crypto.errors.sdf import (
    SdfKeyDiffers,
    SdfKeyNotShared,
    SdfLibraryUnusable,
    SdfSessionsBusy,
    SdfSigningPairMissing,
)
from yimatong.crypto.errors.sdf_codes import SdfError
from yimatong.crypto.gm import sm2, sm4
from yimatong.crypto.log import CryptoLog
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import CryptoMachine

_T = TypeVar("_T")
_WRAPPED_SIZE: Final = 113
_DIGEST_SIZE: Final = 32
_Places = dict[str, Wrapped]


class _Pair(msgspec.Struct, frozen=True):
    """A signing key pair: its index in every machine, its public key."""

    index: int
    public: bytes


class SdfDevice(KeyBook):
    """A :class:`~yimatong.crypto.devices.base.CryptoDevice` over crypto machines, made by ``open`` or ``create``."""

    name = "sdf"
    inline = False

    def __init__(self, keystore: Keystore, contents: Contents, machines: Sequence[CryptoMachine]) -> None:
        super().__init__(keystore, contents)
        if not machines:
            raise SdfLibraryUnusable(reason="crypto_machines = []")
        self._pairs_seen: set[tuple[str, _Pair]] = set()
        self._machines: tuple[Machine, ...] = tuple(Machine(each, self._admit, self._even_out) for each in machines)
        if len({id(each.library) for each in self._machines}) < len(machines):
            raise SdfLibraryUnusable(reason="two machines over one library: a process opens a device once")
        if len({each.name for each in self._machines}) < len(machines):
            raise SdfLibraryUnusable(reason="two machines have one name")
        for each in self._machines:
            each.start()

    @classmethod
    def create(
        cls, path: Path, passphrase: str, machines: Sequence[CryptoMachine], *, demonstration: bool = False
    ) -> Self:
        """Write an empty book at ``path`` and open the machines. Keys come by ceremony or ``generate``.

        Raises:
            KeystoreExists: there is a book already.
            SdfLibraryUnusable: see :meth:`open`.
        """
        if path.exists():
            raise KeystoreExists
        keystore, contents = Keystore.new(path, passphrase), Contents(demonstration=demonstration)
        keystore.write(contents)
        return cls(keystore, contents, machines)

    @classmethod
    def open(cls, path: Path, passphrase: str, machines: Sequence[CryptoMachine], *, production: bool) -> Self:
        """Open the book and the machines; a machine that does not answer is tried again in the background.

        Raises:
            KeystoreUnreadable, PassphraseWrong: the book cannot be opened.
            DemonstrationKeysInProduction: ``production`` and the book says so.
            SdfLibraryUnusable: a library cannot be loaded, or the settings name one twice.
        """
        keystore, contents = Keystore.open(path, passphrase)
        if production and contents.demonstration:
            raise DemonstrationKeysInProduction
        for key in contents.keys:
            if key.value:
                _ = _pair(key) if key.usage is KeyUsage.SIGNING else _places(key)
        return cls(keystore, contents, machines)

    @property
    def machines(self) -> dict[str, str]:
        """Say of every machine ``in``, or why it is out."""
        return {each.name: "in" if each.is_in else str(each.reason) for each in self._machines}

    def close(self) -> None:
        """Close sessions and devices."""
        for each in self._machines:
            each.close()

    # -- work ---------------------------------------------------------------------------------------------------------

    def encrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Return SM4-ECB of N x 16 bytes; see the protocol."""
        return self._blocks(usage, version, blocks, Session.encrypt)

    def decrypt_blocks(self, usage: KeyUsage, version: int, blocks: bytes) -> bytes:
        """Reverse :meth:`encrypt_blocks`."""
        return self._blocks(usage, version, blocks, Session.decrypt)

    def sign(self, version: int, digest: bytes) -> bytes:
        """Return r || s over a digest of 32 bytes; see the protocol."""
        if len(digest) != _DIGEST_SIZE:
            message = "a digest has 32 bytes"
            raise ValueError(message)
        pair = _pair(self._live_signing_key(version))

        def work(machine: Machine) -> bytes:
            if not self._holds(machine, pair):
                raise SdfKeyNotShared(device=machine.name, usage=KeyUsage.SIGNING.value, version=version)
            return machine.use(lambda session: session.sign(pair.index, digest), critical=False)

        return self._first(work)[1]

    def public_key(self, version: int) -> bytes:
        """Return 04 || x || y of a signing version, as the book has it."""
        return _pair(versions.find(self._newest().keys, KeyUsage.SIGNING, version)).public

    def transport_public_key(self) -> bytes:
        """Return the encryption public key of the first machine that answers."""
        return self._first(lambda machine: machine.use(_encryption_key(machine), critical=False))[1]

    def _blocks(
        self, usage: KeyUsage, version: int, blocks: bytes, function: Callable[[Session, Wrapped, bytes], bytes]
    ) -> bytes:
        key = self._block_key(usage, version)
        if len(blocks) % sm4.BLOCK_SIZE:
            message = "SM4 works on whole blocks of 16 bytes"
            raise ValueError(message)

        def work(machine: Machine) -> bytes:
            place = self._place(machine, key)
            return machine.use(lambda session: function(session, place, blocks), critical=True)

        return self._first(work)[1] if blocks else b""

    def _first(self, work: Callable[[Machine], _T]) -> tuple[Machine, _T]:
        """Return what the first machine that can do it gives.

        Raises:
            DeviceUnavailable: none can.
            SdfSessionsBusy, SdfError: the last word of the last one.
        """
        failed: list[PlatformError] = []
        for machine in self._machines:
            try:
                return machine, work(machine)
            except (DeviceUnavailable, SdfSessionsBusy, SdfKeyNotShared, SdfKeyDiffers, SdfError) as error:
                failed.append(error)
        for telling in (SdfError, SdfSessionsBusy):
            for failure in failed:
                if isinstance(failure, telling):
                    raise failure
        raise DeviceUnavailable(device=self.name) from failed[-1]

    # -- where keys lie -----------------------------------------------------------------------------------------------

    def _make(self, usage: KeyUsage) -> tuple[bytes, str]:
        if usage is KeyUsage.SIGNING:
            return self._next_pair()

        def make(session: Session, settings: CryptoMachine) -> tuple[Wrapped, str]:
            wrapped = session.generate(settings.key_index, settings.kek_index)
            session.forget(wrapped)  # what counts is what comes back by its wrapping
            return wrapped, session.check_value(wrapped)

        machine, (wrapped, kcv) = self._first(
            lambda machine: machine.use(lambda session: make(session, machine.settings), critical=False)
        )
        return self._spread(machine, wrapped, kcv), kcv

    def _next_pair(self) -> tuple[bytes, str]:
        version = versions.next_version(self._contents.keys, KeyUsage.SIGNING, None)

        def export(machine: Machine) -> _Pair:
            indexes = machine.settings.signing_indexes
            if version > len(indexes):
                raise SdfSigningPairMissing(version=version)
            index = indexes[version - 1]
            return _Pair(index, machine.use(lambda session: session.signing_key(index), critical=False))

        pair = self._first(export)[1]
        return msgspec.json.encode(pair), sm2.key_check_value(pair.public)

    def _take(self, key: bytes) -> tuple[bytes, str]:
        def take(session: Session, index: int) -> tuple[Wrapped, str]:
            wrapped = session.wrap(index, key)
            return wrapped, session.check_value(wrapped)

        machine, (wrapped, kcv) = self._first(
            lambda machine: machine.use(lambda session: take(session, machine.settings.key_index), critical=False)
        )
        if kcv != sm4.key_check_value(key):
            raise SdfKeyDiffers(device=machine.name, usage="new", version=0)
        return self._spread(machine, wrapped, kcv), kcv

    def _unwrap(self, wrapped: bytes) -> tuple[bytes, str]:
        if len(wrapped) != _WRAPPED_SIZE or wrapped[:1] != b"\x04":
            raise ComponentMismatch(what="wrapped key")

        def take(machine: Machine) -> tuple[Wrapped, str]:
            given = Wrapped(how="isk", index=machine.settings.key_index, cipher=wrapped[1:])
            return given, machine.use(lambda session: session.check_value(given), critical=False)

        try:
            machine, (given, kcv) = self._first(take)
        except SdfError as error:
            raise ComponentMismatch(what=f"wrapped key ({error.code})") from error
        return self._spread(machine, given, kcv), kcv

    def _spread(self, source: Machine, wrapped: Wrapped, kcv: str) -> bytes:
        """Give a new key to the other machines; one that cannot take it now gets it when it is needed there."""
        places = {source.name: wrapped}
        for target in self._machines:
            if target is source or not target.is_in:
                continue
            try:
                public = target.use(_encryption_key(target), critical=False)
                place = self._passed_on(source, wrapped, target, public)
                found = target.use(lambda session, place=place: session.check_value(place), critical=False)  # type: ignore[misc]
            except PlatformError:
                continue
            if found == kcv:
                places[target.name] = place
        return msgspec.json.encode(places)

    def _place(self, machine: Machine, key: Key) -> Wrapped:
        """Return where a key lies for ``machine``; one that it does not have is passed on by another.

        Raises:
            SdfKeyNotShared: nobody can. DeviceUnavailable: the machine is out.
        """
        place = _places(key).get(machine.name)
        if place is None:
            public = machine.use(_encryption_key(machine), critical=False)
            place = self._share(machine, key, public)
            found = machine.use(lambda session: session.check_value(place), critical=False)
            self._record(machine, key, place, found)
        return place

    def _share(self, target: Machine, key: Key, public: bytes) -> Wrapped:
        places = _places(key)
        for source in self._machines:
            if source is target or source.name not in places:
                continue
            try:
                return self._passed_on(source, places[source.name], target, public)
            except PlatformError:
                continue
        raise SdfKeyNotShared(device=target.name, usage=key.usage.value, version=key.version)

    def _passed_on(self, source: Machine, wrapped: Wrapped, target: Machine, public: bytes) -> Wrapped:
        """Return ``wrapped`` as ``target`` can take it: as it is where both have one KEK or key pair."""
        if wrapped.how == "kek":
            return msgspec.structs.replace(wrapped, index=target.settings.kek_index or wrapped.index)
        index = target.settings.key_index
        if source.use(lambda session: session.encryption_key(wrapped.index), critical=False) == public:
            return msgspec.structs.replace(wrapped, index=index)
        return source.use(lambda session: session.pass_on(wrapped, public, index), critical=False)

    def _record(self, machine: Machine, key: Key, place: Wrapped, kcv: str) -> None:
        if kcv != key.kcv:
            raise SdfKeyDiffers(device=machine.name, usage=key.usage.value, version=key.version)
        with self._change() as contents:
            known = versions.find(contents.keys, key.usage, key.version)
            known.value = msgspec.json.encode({**_places(known), machine.name: place})

    # -- who may work -------------------------------------------------------------------------------------------------

    def _admit(self, machine: Machine, session: Session) -> None:
        """Check every key that a machine holds before it gets work.

        Raises:
            SdfKeyDiffers: it holds another key. SdfError: it does not take a key in.
        """
        self._pairs_seen = {seen for seen in self._pairs_seen if seen[0] != machine.name}
        for key in self._contents.keys:
            if key.state is KeyState.DESTROYED or key.usage is KeyUsage.SIGNING:
                continue
            place = _places(key).get(machine.name)
            if place is not None and session.check_value(place) != key.kcv:
                raise SdfKeyDiffers(device=machine.name, usage=key.usage.value, version=key.version)

    def _even_out(self) -> None:
        """Pass on what some machine does not have yet, as far as those that answer can."""
        for key in self._contents.keys:
            if key.state is KeyState.DESTROYED or key.usage is KeyUsage.SIGNING:
                continue
            for machine in self._machines:
                if machine.is_in and machine.name not in _places(key):
                    with contextlib.suppress(PlatformError):
                        self._place(machine, key)

    def _holds(self, machine: Machine, pair: _Pair) -> bool:
        if (machine.name, pair) in self._pairs_seen:
            return True
        found = machine.use(lambda session: session.signing_key(pair.index), critical=False)
        if found == pair.public:
            self._pairs_seen = self._pairs_seen | {(machine.name, pair)}
            return True
        CryptoLog.SIGNING_KEY_DIFFERS.emit(device=machine.name, index=pair.index)
        return False

    def _check_restored(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if not any(self._opens(machine, key) for machine in self._answering()):
                raise BackupRefused(detail=f"{key.usage.value} {key.version}: no machine holds it")

    def _answering(self) -> Iterator[Machine]:
        answering = [machine for machine in self._machines if machine.is_in]
        if not answering:
            raise DeviceUnavailable(device=self.name)
        yield from answering

    def _opens(self, machine: Machine, key: Key) -> bool:
        if key.usage is KeyUsage.SIGNING:
            return self._holds(machine, _pair(key))
        place = _places(key).get(machine.name)
        if place is None:
            return False
        try:
            return machine.use(lambda session: session.check_value(place), critical=False) == key.kcv
        except SdfError:
            return False

    def _renewed(self) -> None:
        for machine in self._machines:
            machine.renew()


def _places(key: Key) -> _Places:
    return _decoded(key.value, _Places)


def _pair(key: Key) -> _Pair:
    return _decoded(key.value, _Pair)


def _decoded(value: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise KeystoreUnreadable(reason="a keystore of the soft device, not a book of crypto machines") from None


def _encryption_key(machine: Machine) -> Callable[[Session], bytes]:
    return lambda session: session.encryption_key(machine.settings.key_index)
