"""Management of identifier domains (标识域管理): read, make, change, suspend; versions are kept, changes audited.

A standard domain has no row until somebody changes it: then its row stands in place of what the catalogue says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.access import callers
from yimatong.empi.errors import DomainChanged, DomainExists, DomainRuleInvalid, DomainUnknown
from yimatong.empi.identifiers import catalogue, queries, rules
from yimatong.empi.identifiers.schemas import Domain, DomainChange, DomainToMake
from yimatong.empi.models import identifier_domain, identifier_domain_version
from yimatong.kit import audit
from yimatong.kit.db import Connection, raw

_PREFIXES = {
    "certificate": "certificate:",
    "card": "card:",
    "visit_card": "visit-card:",
    "source": "source:",
    "region": "region:",
    "national": "national:",
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes a domain, why, and under which request."""

    operator_id: str
    reason: str
    request_id: str
    now: datetime


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a domain."""

    domain: Domain
    reason: str
    changed_by: str
    at: datetime


async def read(connection: Connection, code: str) -> Domain:
    """Return a domain.

    Raises:
        DomainUnknown: no code of a domain, or of an institution that is not registered.
    """
    found = (await queries.domains_of(await raw(connection), [code])).get(code)
    if found is None:
        raise DomainUnknown(domain=code)
    owner = catalogue.institution_of(code)
    if owner is None:
        return found
    names = await callers.institution_names(connection, [owner])
    if owner not in names:
        raise DomainUnknown(domain=code)
    return _named(found, names[owner])


async def listed(connection: Connection, *, institution_id: str | None, kind: str | None = None) -> list[Domain]:
    """Return the domains of everybody and those of one institution, by kind and code."""
    derived: dict[str, Domain] = dict(catalogue.STANDARD)
    if institution_id is not None:
        name = (await callers.institution_names(connection, [institution_id])).get(institution_id)
        if name is not None:
            derived |= {each.code: each for each in catalogue.domains_of_institution(institution_id, name)}
    own = identifier_domain.c.institution_id
    rows = await connection.execute(
        select(identifier_domain).where(
            own.is_(None) if institution_id is None else (own.is_(None) | (own == institution_id))
        )
    )
    derived |= {row.code: _stored(row) for row in rows}
    order = list(_PREFIXES)
    found = [each for each in derived.values() if kind is None or each.kind == kind]
    return sorted(found, key=lambda each: (order.index(each.kind), each.code))


async def by_oid(connection: Connection, oid: str) -> Domain:
    """Return the domain that HL7 and FHIR name by an object identifier.

    Raises:
        DomainUnknown: no domain has it.
    """
    row = (await connection.execute(select(identifier_domain).where(identifier_domain.c.oid == oid))).first()
    if row is not None:
        return _stored(row)
    for each in catalogue.STANDARD.values():
        if each.oid == oid:
            return await _unless_renamed(connection, each, oid)
    for institution_id, name in (await callers.institution_names(connection)).items():
        for each in catalogue.domains_of_institution(institution_id, name):
            if each.oid == oid:
                return await _unless_renamed(connection, each, oid)
    raise DomainUnknown(domain=oid)


async def versions(connection: Connection, code: str) -> list[Version]:
    """Return every version of a domain that an operator made, the newest first."""
    rows = await connection.execute(
        select(identifier_domain_version)
        .where(identifier_domain_version.c.code == code)
        .order_by(identifier_domain_version.c.version.desc())
    )
    return [
        Version(domain=msgspec.convert(row.rules, Domain), reason=row.reason, changed_by=row.changed_by, at=row.at)
        for row in rows
    ]


async def create(connection: Connection, wanted: DomainToMake, change: Change) -> Domain:
    """Make a domain.

    Raises:
        DomainExists: its code or its object identifier is taken. DomainRuleInvalid: a code that does not fit its kind,
        an institution that is not registered, a format or check rule that judges nothing.
    """
    owner = catalogue.institution_of(wanted.code)
    if not wanted.code.startswith(_PREFIXES[wanted.kind]) or (wanted.kind in ("visit_card", "source") and not owner):
        raise DomainRuleInvalid(detail="code")
    if catalogue.derived(wanted.code) is not None:
        raise DomainExists(given=wanted.code)
    if owner is not None and owner not in await callers.institution_names(connection, [owner]):
        raise DomainRuleInvalid(detail="institution")
    made = Domain(
        **msgspec.structs.asdict(msgspec.structs.replace(wanted, oid=wanted.oid or catalogue.oid_of(wanted.code))),
        id_type="99" if wanted.kind == "certificate" else None,
        card_type=wanted.code.rpartition(":")[2] if wanted.kind in ("card", "visit_card") else None,
        institution_id=owner,
        region_code=wanted.code.partition(":")[2] if wanted.kind == "region" else None,
        state="active",
        version=1,
    )
    rules.require_sound(made)
    await _keep(connection, made, change, action="domains:create", fresh=True)
    return made


async def change(connection: Connection, code: str, wanted: DomainChange, *, version: int, change: Change) -> Domain:
    """Change a domain that was read in ``version``; numbers that are entered stay.

    Raises:
        DomainUnknown. DomainChanged: somebody was quicker. DomainExists: the object identifier is taken.
        DomainRuleInvalid: a format or check rule that judges nothing.
    """
    locked = (
        await connection.execute(select(identifier_domain).where(identifier_domain.c.code == code).with_for_update())
    ).first()
    known = await read(connection, code) if locked is None else _stored(locked)
    if known.version != version:
        raise DomainChanged(version=known.version)
    given = {
        name: value
        for name, value in msgspec.structs.asdict(wanted).items()
        if not isinstance(value, msgspec.UnsetType)
    }
    changed = msgspec.structs.replace(known, **given, version=known.version + 1)
    rules.require_sound(changed)
    suspended = "state" in given and given["state"] != known.state
    action = (
        f"domains:{'suspend' if given.get('state') == 'suspended' else 'resume'}" if suspended else "domains:change"
    )
    await _keep(connection, changed, change, action=action, fresh=False)
    return changed


async def _keep(connection: Connection, kept: Domain, change: Change, *, action: str, fresh: bool) -> None:
    """Write a domain, its version and the audit row."""
    await _require_own_oid(connection, kept)
    values = msgspec.structs.asdict(kept) | {"trusted": list(kept.trusted)}
    row = upsert(identifier_domain).values(**values, created_at=change.now, changed_at=change.now)
    newer = {name: value for name, value in values.items() if name != "code"} | {"changed_at": change.now}
    row = (
        row.on_conflict_do_nothing(index_elements=["code"])
        if fresh
        else row.on_conflict_do_update(
            index_elements=["code"], set_=newer, where=identifier_domain.c.version == kept.version - 1
        )
    )
    if (await connection.execute(row.returning(identifier_domain.c.code))).first() is None:
        raise DomainExists(given=kept.code) if fresh else DomainChanged(version=kept.version)
    await connection.execute(
        insert(identifier_domain_version).values(
            code=kept.code,
            version=kept.version,
            rules=msgspec.to_builtins(kept),
            reason=change.reason,
            changed_by=change.operator_id,
            at=change.now,
        )
    )
    await audit.record(
        connection,
        actor=change.operator_id,
        action=action,
        object_kind="identifier_domain",
        object_id=kept.code,
        request_id=change.request_id,
        now=change.now,
        detail=f"version {kept.version}: {change.reason}",
    )


async def _require_own_oid(connection: Connection, kept: Domain) -> None:
    if kept.oid is None:
        return
    try:
        other = await by_oid(connection, kept.oid)
    except DomainUnknown:
        return
    if other.code != kept.code:
        raise DomainExists(given=kept.oid)


async def _unless_renamed(connection: Connection, derived: Domain, oid: str) -> Domain:
    """Return a derived domain as it stands today, unless an operator gave it another object identifier."""
    today = await read(connection, derived.code)
    if today.oid != oid:
        raise DomainUnknown(domain=oid)
    return today


def _stored(row: Any) -> Domain:
    return queries.domain_of([getattr(row, name) for name in Domain.__struct_fields__])


def _named(found: Domain, name: str) -> Domain:
    """Give a derived domain its institution's name; an operator's own words stay."""
    shown = catalogue.derived(found.code, name)
    if shown is None or found.version > 1:
        return found
    return msgspec.structs.replace(found, name_zh=shown.name_zh, name_en=shown.name_en)
