"""HTTP of merging a provider's own records."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.empi.errors import SourceRecordUnknown
from yimatong.empi.merges import by_provider
from yimatong.empi.merges.by_provider import Provider
from yimatong.empi.merges.schemas import RecordsMerged, RecordsToMerge
from yimatong.kit.db import Connection


@post(
    "/api/v1/persons/merge",
    permission="persons:merge",
    responses=documented(RecordsMerged, SourceRecordUnknown),
)
async def merge_records(data: JSONBody[RecordsToMerge], call: NamedDependency[Call]) -> Response[bytes]:
    """Say that two records of the caller's own institution are one resident."""
    provider = Provider(call.caller.institution_id or "", call.caller.caller_id)
    sealer, blinder = await call.vault.sealer(), await call.vault.blinder()
    refer = await call.vault.referrer(provider.institution_id)

    async def verb(tx: Connection) -> RecordsMerged:
        done = await by_provider.merge_records(
            tx, data, provider=provider, sealer=sealer, blinder=blinder, now=call.now
        )
        return RecordsMerged(mpi_ref=refer(done.mpi.hex), outcome=done.outcome, review_id=done.review_id)

    return await call.write(verb)


ROUTES = [merge_records]
