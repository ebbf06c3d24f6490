"""Propose, approve, perform: how keys change, with two custodians, once, and finishable after a crash.

::

    proposed -> rejected
    proposed -> approved -> running -> done | failed

``running`` is one slot for the whole platform (a unique index): the number of the version to be made is written down in
it before the device is called, so that whoever finishes a broken-off ceremony finds whether the device did it already.
A device that does not answer leaves the ceremony running; ``perform`` again finishes it. No key value, component or
backup enters the database, the audit or a log: only usage, version, KCV and who.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from yimatong.access import approvals
from yimatong.access.ceremony import destroying, ledger, queries, steps, windows
from yimatong.access.ceremony.destroying import Remaining
from yimatong.access.ceremony.proposals import check, subject
from yimatong.access.ceremony.schemas import (
    BY_HAND,
    KIND,
    Ceremony,
    Done,
    Given,
    LedgerEntry,
    Request,
    Standing,
)
from yimatong.access.ceremony.windows import Affected, Windows
from yimatong.access.errors import (
    ApprovalNotOpen,
    CeremonyInvalid,
    CeremonyNotApproved,
    CeremonyOver,
    CeremonyRunning,
    CustodianTwice,
)
from yimatong.access.models import key_ceremony, key_ceremony_part
from yimatong.access.operators import Operator
from yimatong.crypto.devices.base import Component, CryptoDevice, KeyState, KeyUsage
from yimatong.crypto.errors import (
    ActivationRefused,
    ActiveKeyInUse,
    ComponentMismatch,
    ComponentsIncomplete,
    ImportRefusedAfterCutOff,
    KeyNotFound,
)
from yimatong.kit import audit
from yimatong.kit.db import Connection, Database
from yimatong.kit.errors import Refusal

PERMISSION = "console:keys"


class Ceremonies:
    """The verbs over one device. ``anchor``: the protection key version that blinds and references stand on."""

    def __init__(
        self,
        db: Database,
        device: CryptoDevice,
        *,
        remaining: Remaining,
        windows: Windows,
        anchor: int = 1,
        pause_s: float = 1.0,
    ) -> None:
        """Keep the parts."""
        self._windows = windows
        self._pause_s = pause_s
        self._db = db
        self._device = device
        self._remaining = remaining
        self._anchor = anchor

    async def propose(self, request: Request, *, reason: str, operator: Operator, now: datetime) -> str:
        """Put a ceremony up for a second custodian and return its id.

        Raises:
            NotPermitted: not a key custodian. CeremonyInvalid: the request makes no sense.
            KeyNotFound: no such version. KeyStillNeeded, CodesStillValid, KeyVersionsShort: see :meth:`perform`.
        """
        operator.require(PERMISSION)
        check(request, reason)
        await self._check(request, now)
        async with self._db.transaction() as connection:
            approval_id = await approvals.propose(
                connection,
                kind=KIND,
                subject=subject(request),
                payload=msgspec.to_builtins(request),
                reason=reason.strip(),
                proposer_id=operator.operator_id,
                now=now,
            )
            await connection.execute(insert(key_ceremony).values(approval_id=approval_id))
            await self._note(connection, "keys:propose", approval_id, request, operator=operator, now=now)
        return approval_id

    async def decide(self, approval_id: str, *, operator: Operator, approve: bool, now: datetime) -> Ceremony:
        """Approve or reject; what is approved is not performed yet.

        Raises:
            NotPermitted, CeremonyUnknown, ApprovalNotOpen, ApproverIsProposer.
        """
        operator.require(PERMISSION)
        async with self._db.transaction() as connection:
            found = await queries.find(connection, approval_id)
            await approvals.decide(connection, approval_id, approver_id=operator.operator_id, approve=approve, now=now)
            action = "keys:approve" if approve else "keys:reject"
            await self._note(connection, action, approval_id, found.request, operator=operator, now=now)
            return await queries.find(connection, approval_id)

    async def approve_and_run(self, approval_id: str, *, operator: Operator, now: datetime) -> Done | None:
        """Approve, and perform at once what needs nothing from the custodians' hands; None when something is needed.

        Approved already and not performed yet (a crash came between): it is performed now.
        Errors as :meth:`decide` and :meth:`perform`.
        """
        try:
            found = await self.decide(approval_id, operator=operator, approve=True, now=now)
        except ApprovalNotOpen:
            async with self._db.read() as connection:
                found = await queries.find(connection, approval_id)
            if found.state not in {"approved", "running"}:
                raise
        if found.request.action in BY_HAND:
            return None
        return await self.perform(approval_id, Given(), operator=operator, now=now)

    async def perform(self, approval_id: str, given: Given, *, operator: Operator, now: datetime) -> Done:
        """Do what was approved, once; repeated after a crash it finds what was done and finishes the rest.

        Raises:
            NotPermitted, CeremonyUnknown, CeremonyNotApproved.
            CeremonyOver: done or failed already. CeremonyRunning: another one is under way.
            KeyStillNeeded: the version is the anchor, made card ids, or data sealed under it remain.
            KeySettling, WritesStillOpen: it may still be used by what was begun; it stays approved.
            CodesStillValid: valid codes would be refused, and it is no emergency; it stays approved and can be
            performed later. KeyVersionsShort: see :mod:`yimatong.access.ceremony.windows`.
            DeviceUnavailable: nothing is known; perform it again. Refusals of the device end the ceremony.
        """
        operator.require(PERMISSION)
        async with self._db.alone("access:ceremony") as mine:  # two at once would each find the other's step undone
            if not mine:
                raise CeremonyRunning
            return await self._perform(approval_id, given, operator=operator, now=now)

    async def _perform(self, approval_id: str, given: Given, *, operator: Operator, now: datetime) -> Done:
        found = await self._approved(approval_id)
        by_hand = found.request.action in BY_HAND
        if by_hand and found.state == "approved" and given == Given():
            raise CeremonyInvalid(detail="缺少保管人交来的内容 / what the custodians bring is missing")
        if found.state == "approved":  # what is broken off was looked at before it began
            await self._check(found.request, now, at_once=True)
        version = await self._take_slot(found)
        try:
            done = await asyncio.to_thread(
                steps.run, self._device, found.request, version, given, pause_s=self._pause_s
            )
            await self._catch_up(found.request)
        except Refusal as refusal:
            if by_hand and not isinstance(refusal, ImportRefusedAfterCutOff):
                # a slip of the fingers: the ceremony stays approved and can be performed again
                await self._give_slot_back(found, operator=operator, now=now, failure=refusal.code)
            else:
                await self._end(found, "failed", operator=operator, now=now, failure=refusal.code)
            raise
        await self._end(found, "done", operator=operator, now=now, kcv=done.info.kcv if done.info else "")
        return done

    async def bring_component(
        self, approval_id: str, part: int, value: bytes, kcv: str, *, operator: Operator, now: datetime
    ) -> Done:
        """Take one custodian's component of an approved import; the last one makes the key.

        Raises:
            CustodianTwice: this custodian brought another part, or the part was brought by somebody else.
            ComponentMismatch: a KCV does not fit; if it is the key's, every component is to be brought again.
            Others as :meth:`perform`.
        """
        operator.require(PERMISSION)
        found = await self._approved(approval_id)
        if found.request.action != "import-component":
            raise CeremonyInvalid(detail="分量仅用于分量导入 / components belong to import-component")
        request = found.request
        component = Component(
            ceremony=approval_id, part=part, parts=request.parts, value=value, kcv=kcv, key_kcv=request.kcv
        )
        steps.check_component(component)
        missing = request.parts - await self._take_part(found, component, operator=operator, now=now)
        if missing:
            await asyncio.to_thread(steps.stage, self._device, request, component)
            return Done(parts_missing=missing)
        try:
            return await self.perform(approval_id, Given(components=(component,)), operator=operator, now=now)
        except (ComponentMismatch, ComponentsIncomplete):
            await asyncio.to_thread(self._device.abandon_ceremony, approval_id)
            await self._forget_parts(approval_id)
            raise

    async def standing(self) -> list[tuple[LedgerEntry, str]]:
        """Return where the device has gone back behind what the platform knows of it; nothing when all is well.

        Raises:
            DeviceUnavailable: the device does not answer.
        """
        return list((await self.look()).back)

    async def look(self) -> Standing:
        """Return the device's book beside the ledger; errors as :meth:`standing`."""
        infos, is_cut_off = await asyncio.to_thread(ledger.book, self._device)
        async with self._db.read() as connection:
            entries = await ledger.entries(connection)
        return Standing(
            infos=tuple(infos),
            is_cut_off=is_cut_off,
            demonstration=self._device.demonstration,
            anchor=self._anchor,
            entries=tuple(entries),
            back=tuple(ledger.contradictions(entries, infos, is_cut_off=is_cut_off)),
        )

    async def _catch_up(self, request: Request) -> None:
        """After a restore, do again what the ledger knows and the backup was too old for."""
        if request.action != "restore":
            return
        for entry, _ in await self.standing():
            if entry.usage == ledger.DEVICE:
                await asyncio.to_thread(self._device.cut_off)
                continue
            usage = KeyUsage(entry.usage)
            for state, verb in (
                (KeyState.DISABLED, self._device.switch_off),
                (KeyState.DESTROYED, self._device.destroy),
            ):
                if entry.state is state:
                    with suppress(ActiveKeyInUse, ActivationRefused, KeyNotFound):  # ``standing`` goes on telling of it
                        await asyncio.to_thread(verb, usage, entry.version)

    async def _approved(self, approval_id: str) -> Ceremony:
        async with self._db.read() as connection:
            found = await queries.find(connection, approval_id)
        if found.state in {"done", "failed"}:
            raise CeremonyOver(state=found.state)
        if found.state not in {"approved", "running"}:
            raise CeremonyNotApproved
        return found

    async def affected(self, request: Request, *, now: datetime) -> Affected | None:
        """Return the valid codes that ``request`` would refuse; None when there are none."""
        infos = await asyncio.to_thread(windows.book_of, self._device, request.usage)
        return await self._windows.affected(self._db, infos, request, now)

    async def _check(self, request: Request, now: datetime, *, at_once: bool = False) -> None:
        infos = await asyncio.to_thread(windows.book_of, self._device, request.usage)
        await self._windows.check(self._db, infos, request, now)
        if at_once:
            await destroying.check_settled(self._db, infos, request, now=now)
        await destroying.check(infos, request, anchor=self._anchor, remaining=self._remaining)

    async def _take_slot(self, found: Ceremony) -> int | None:
        """Make this the running ceremony and write down the version that it will make, before the device is asked."""
        mine = key_ceremony.c.approval_id == found.approval_id
        try:
            async with self._db.transaction() as connection:
                taken = await connection.execute(
                    update(key_ceremony)
                    .where(mine, key_ceremony.c.state.in_(["open", "running"]))
                    .values(state="running")
                    .returning(key_ceremony.c.version)
                )
                row = taken.first()
        except IntegrityError as error:
            raise CeremonyRunning from error
        if row is None:
            raise CeremonyOver(state="done")
        if row.version is not None:
            return int(row.version)
        version = await asyncio.to_thread(steps.version_of, self._device, found.request)
        async with self._db.transaction() as connection:
            await connection.execute(
                update(key_ceremony).where(mine, key_ceremony.c.version.is_(None)).values(version=version)
            )
            return (await connection.execute(select(key_ceremony.c.version).where(mine))).scalar_one_or_none()

    async def _end(
        self, found: Ceremony, state: str, *, operator: Operator, now: datetime, kcv: str = "", failure: str = ""
    ) -> None:
        infos, is_cut_off = await asyncio.to_thread(ledger.book, self._device)
        request = found.request
        allowed = {(request.usage, request.version): KeyState.ENABLED} if request.action == "switch-on" else {}
        async with self._db.transaction() as connection:
            ended = await connection.execute(
                update(key_ceremony)
                .where(key_ceremony.c.approval_id == found.approval_id, key_ceremony.c.state == "running")
                .values(state=state, failure=failure, done_at=now)
                .returning(key_ceremony.c.version)
            )
            row = ended.first()
            await ledger.write(connection, infos, is_cut_off=is_cut_off, now=now, allowed=allowed)
            if row is None:  # two finished it at once; the first one told of it
                return
            detail = f"version={row.version or request.version} kcv={kcv or '-'}"
            await self._note(
                connection,
                "keys:perform",
                found.approval_id,
                request,
                operator=operator,
                now=now,
                result=failure or "ok",
                detail=detail,
            )

    async def _give_slot_back(self, found: Ceremony, *, operator: Operator, now: datetime, failure: str) -> None:
        async with self._db.transaction() as connection:
            await connection.execute(
                update(key_ceremony)
                .where(key_ceremony.c.approval_id == found.approval_id, key_ceremony.c.state == "running")
                .values(state="open", version=None)
            )
            await self._note(
                connection, "keys:perform", found.approval_id, found.request, operator=operator, now=now, result=failure
            )

    async def _take_part(self, found: Ceremony, component: Component, *, operator: Operator, now: datetime) -> int:
        """Write down who brings which part, and return how many are there; the same again is the same."""
        part = key_ceremony_part
        values = {"part": component.part, "operator_id": operator.operator_id, "kcv": component.kcv.upper()}
        async with self._db.transaction() as connection:
            taken = await connection.execute(
                upsert(part)
                .values(approval_id=found.approval_id, at=now, **values)
                .on_conflict_do_nothing()
                .returning(part.c.part)
            )
            if taken.first() is not None:
                await self._note(
                    connection,
                    "keys:component",
                    found.approval_id,
                    found.request,
                    operator=operator,
                    now=now,
                    detail=f"part={component.part} kcv={component.kcv.upper()}",
                )
            rows = (await connection.execute(select(part).where(part.c.approval_id == found.approval_id))).all()
        if not any({name: row._mapping[name] for name in values} == values for row in rows):  # noqa: SLF001 -- documented
            raise CustodianTwice
        return len(rows)

    async def _forget_parts(self, approval_id: str) -> None:
        async with self._db.transaction() as connection:
            await connection.execute(delete(key_ceremony_part).where(key_ceremony_part.c.approval_id == approval_id))

    async def _note(
        self,
        connection: Connection,
        action: str,
        approval_id: str,
        request: Request,
        *,
        operator: Operator,
        now: datetime,
        result: str = "ok",
        detail: str = "",
    ) -> None:
        await audit.record(
            connection,
            actor=operator.operator_id,
            action=action,
            object_kind="key_ceremony",
            object_id=approval_id,
            request_id=approval_id,
            now=now,
            result=result,
            institution_id=operator.institution_id,
            detail=f"{subject(request)} {detail}".strip(),
        )
