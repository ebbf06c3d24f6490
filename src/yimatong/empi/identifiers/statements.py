"""The SQL of domains and cross indexes for many at once, on psycopg itself inside its caller's transaction.

Rows go in as one array a column; every table is reached by its key, row by row (LATERAL).
"""

from __future__ import annotations

from typing import Final

DOMAIN_COLUMNS: Final = (
    "code, oid, kind, name_zh, name_en, id_type, card_type, institution_id, region_code, format, check_rule,"
    " one_per_person, reusable, valid_days, trusted, state, version"
)

DOMAINS: Final = f"""
    SELECT d.* FROM unnest(%s::text[]) AS i (c)
    JOIN LATERAL (SELECT {DOMAIN_COLUMNS} FROM empi_identifier_domain WHERE code = i.c LIMIT 1) d ON true
"""  # noqa: S608 -- the columns are a constant

STANDING: Final = """
    SELECT i.ord, coalesce(q.mpi, i.m), q.version, q.state, q.sex, q.birth_date,
           f.relation_id, coalesce(fp.current_mpi, f.mpi), f.since,
           coalesce(cp.current_mpi, c.mpi),
           ARRAY(SELECT coalesce(p.current_mpi, e.mpi) FROM empi_identifier e
                 LEFT JOIN empi_person p ON p.mpi = e.mpi
                 WHERE e.domain = i.d AND e.number_blind = i.b AND e.state = 'ended')
    FROM unnest(%s::int[], %s::text[], %s::bytea[], %s::text[], %s::uuid[]) AS i (ord, d, b, t, m)
    LEFT JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = i.m LIMIT 1) w ON true
    LEFT JOIN LATERAL (SELECT mpi, version, state, sex, birth_date FROM empi_person
                       WHERE mpi = w.mpi LIMIT 1) q ON true
    LEFT JOIN LATERAL (SELECT relation_id, mpi, since FROM empi_identifier
                       WHERE domain = i.d AND number_blind = i.b AND state = 'active' LIMIT 1) f ON true
    LEFT JOIN LATERAL (SELECT current_mpi FROM empi_person WHERE mpi = f.mpi LIMIT 1) fp ON true
    LEFT JOIN LATERAL (SELECT mpi FROM empi_certificate
                       WHERE i.t <> '' AND id_type = i.t AND id_blind = i.b LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT current_mpi FROM empi_person WHERE mpi = c.mpi LIMIT 1) cp ON true
"""
"""Who a number is wanted for, as she is today; whose it is; who had it before."""

LOCK_PERSONS: Final = """
    SELECT 1 FROM empi_person WHERE mpi = ANY(%s::uuid[]) ORDER BY mpi FOR NO KEY UPDATE
"""

OTHERS: Final = """
    SELECT i.ord FROM unnest(%s::int[], %s::text[], %s::bytea[], %s::text[], %s::uuid[]) AS i (ord, d, b, t, m)
    CROSS JOIN LATERAL (SELECT ARRAY[i.m] || ARRAY(SELECT mpi FROM empi_person WHERE current_mpi = i.m) AS ids) g
    WHERE EXISTS (SELECT 1 FROM empi_identifier e WHERE e.mpi = ANY(g.ids) AND e.domain = i.d
                  AND e.state = 'active' AND e.number_blind <> i.b)
       OR (i.t <> '' AND EXISTS (SELECT 1 FROM empi_certificate c WHERE c.mpi = ANY(g.ids) AND c.id_type = i.t
                  AND c.replaced_at IS NULL AND c.id_blind <> i.b))
"""
"""Which of them have another number of the same domain."""

CLAIM: Final = """
    INSERT INTO empi_certificate (id_type, id_blind, mpi, claimed_at)
    SELECT t, b, m, %s::timestamptz FROM unnest(%s::text[], %s::bytea[], %s::uuid[]) AS i (t, b, m) ORDER BY t, b
    ON CONFLICT DO NOTHING RETURNING id_type, id_blind
"""

ENTER: Final = """
    INSERT INTO empi_identifier (relation_id, domain, number_blind, number_sealed, mpi, medium_id, application_domain,
                                 provider, since)
    SELECT r, d, b, s, m, x, a, p, %s::timestamptz
    FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::uuid[], %s::text[], %s::text[], %s::text[])
        AS i (r, d, b, s, m, x, a, p) ORDER BY d, b
    ON CONFLICT (domain, number_blind) WHERE state = 'active' DO NOTHING RETURNING relation_id
"""

HOLDERS: Final = """
    SELECT i.ord, f.relation_id, coalesce(p.current_mpi, f.mpi)
    FROM unnest(%s::int[], %s::text[], %s::bytea[], %s::text[]) AS i (ord, d, b, t)
    JOIN LATERAL (SELECT relation_id, mpi FROM empi_identifier
                  WHERE i.t = '' AND domain = i.d AND number_blind = i.b AND state = 'active'
                  UNION ALL SELECT '', mpi FROM empi_certificate
                  WHERE i.t <> '' AND id_type = i.t AND id_blind = i.b LIMIT 1) f ON true
    LEFT JOIN LATERAL (SELECT current_mpi FROM empi_person WHERE mpi = f.mpi LIMIT 1) p ON true
"""
"""Whose each number is today."""

ACTIVE: Final = """
    SELECT i.ord, f.relation_id, coalesce(p.current_mpi, f.mpi), coalesce(p.version, 1), f.provider
    FROM unnest(%s::int[], %s::text[], %s::bytea[]) AS i (ord, d, b)
    JOIN LATERAL (SELECT relation_id, mpi, provider FROM empi_identifier
                  WHERE domain = i.d AND number_blind = i.b AND state = 'active' LIMIT 1) f ON true
    LEFT JOIN LATERAL (SELECT current_mpi, version FROM empi_person WHERE mpi = f.mpi LIMIT 1) p ON true
"""
"""The active relation of each number, its current person and her version."""

END: Final = """
    UPDATE empi_identifier e SET state = 'ended', ended_at = %s::timestamptz, ended_reason = i.r
    FROM unnest(%s::text[], %s::text[]) AS i (id, r)
    WHERE e.relation_id = i.id AND e.state = 'active' RETURNING e.relation_id, e.mpi
"""

END_OF_PERSONS: Final = """
    UPDATE empi_identifier SET state = 'ended', ended_at = %s::timestamptz, ended_reason = %s
    WHERE mpi = ANY(%s::uuid[]) AND state = 'active' RETURNING relation_id
"""

ENDED_WITH_PERSON: Final = """
    SELECT DISTINCT ON (domain, number_blind) relation_id, domain, number_sealed, mpi, medium_id, application_domain,
           provider
    FROM empi_identifier e
    WHERE mpi = ANY(%s::uuid[]) AND state = 'ended' AND ended_reason = 'person_cancelled'
      AND NOT EXISTS (SELECT 1 FROM empi_identifier a WHERE a.domain = e.domain AND a.number_blind = e.number_blind
                      AND a.state = 'active')
    ORDER BY domain, number_blind, ended_at DESC
"""

ROWS: Final = """
    SELECT relation_id, domain, number_sealed, mpi, medium_id, application_domain, provider, number_blind
    FROM unnest(%s::text[], %s::bytea[]) AS i (d, b)
    JOIN LATERAL (SELECT * FROM empi_identifier WHERE domain = i.d AND number_blind = i.b AND state = 'active'
                  LIMIT 1) f ON true
    ORDER BY d, b
"""

_OF_PERSON: Final = """
    LEFT JOIN LATERAL (SELECT mpi, state, sealed, sex, birth_date FROM empi_person WHERE mpi = w.mpi LIMIT 1) q ON true
    LEFT JOIN LATERAL (SELECT ARRAY[q.mpi] || ARRAY(SELECT mpi FROM empi_person WHERE current_mpi = q.mpi) AS ids
                       WHERE q.mpi IS NOT NULL) g ON true
    LEFT JOIN LATERAL (SELECT * FROM empi_identifier WHERE mpi = ANY(g.ids) AND state = 'active') n ON true
    LEFT JOIN LATERAL (SELECT status FROM empi_medium WHERE medium_id = n.medium_id LIMIT 1) nm ON true
    LEFT JOIN LATERAL (SELECT state, trusted, valid_days FROM empi_identifier_domain
                       WHERE code = n.domain LIMIT 1) nd ON true
"""

_FOUND: Final = """
    i.ord, q.mpi, q.state, q.sealed, q.sex, q.birth_date, g.ids,
    ARRAY(SELECT c.id_type || encode(c.id_blind, 'hex') FROM empi_certificate c
          WHERE c.mpi = ANY(g.ids) AND c.replaced_at IS NULL),
    n.relation_id, n.domain, n.number_sealed, n.number_blind, n.medium_id, n.application_domain, n.since,
    nd.state, nd.trusted, nd.valid_days, nm.status
"""

RESOLVE: Final = f"""
    SELECT {_FOUND}, sd.state, sd.valid_days, o.since, sd.trusted, om.status
    FROM unnest(%s::int[], %s::text[], %s::bytea[], %s::text[]) AS i (ord, d, b, t)
    LEFT JOIN LATERAL (SELECT state, trusted, valid_days FROM empi_identifier_domain
                       WHERE code = i.d LIMIT 1) sd ON true
    LEFT JOIN LATERAL (SELECT mpi, since, medium_id FROM empi_identifier
                       WHERE i.t = '' AND domain = i.d AND number_blind = i.b AND state = 'active'
                       UNION ALL SELECT mpi, claimed_at, NULL FROM empi_certificate
                       WHERE i.t <> '' AND id_type = i.t AND id_blind = i.b LIMIT 1) o ON true
    LEFT JOIN LATERAL (SELECT status FROM empi_medium WHERE medium_id = o.medium_id LIMIT 1) om ON true
    LEFT JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = o.mpi LIMIT 1) w ON true
    {_OF_PERSON}
"""  # noqa: S608 -- put together from constants
"""A number's person of today and all her numbers, one row a number; a number that nobody has gives one empty row."""

OF_PERSONS: Final = f"""
    SELECT {_FOUND}
    FROM unnest(%s::int[], %s::uuid[]) AS i (ord, m)
    LEFT JOIN LATERAL (SELECT coalesce(current_mpi, mpi) AS mpi FROM empi_person WHERE mpi = i.m LIMIT 1) w ON true
    {_OF_PERSON}
"""  # noqa: S608 -- put together from constants

HISTORY: Final = """
    SELECT e.relation_id, coalesce(p.current_mpi, e.mpi), e.state, e.since, e.ended_at, e.ended_reason, e.provider,
           e.medium_id, e.application_domain
    FROM empi_identifier e LEFT JOIN empi_person p ON p.mpi = e.mpi
    WHERE e.domain = %s AND e.number_blind = %s AND e.state = ANY(ARRAY['active', 'ended'])
    ORDER BY e.since, e.relation_id
"""

SAID_OF: Final = """
    SELECT mpi, sealed FROM empi_contribution WHERE mpi = ANY(%s::uuid[])
"""
"""What providers said of a person: the numbers of certificates that her golden record does not show."""

MEDIA: Final = """
    INSERT INTO empi_medium AS m (medium_id, kind, number_blind, number_sealed, chip_blind, chip_sealed, status, issuer,
                             issued_on, valid_to, version, since, changed_at)
    SELECT i, k, b, s, cb, cs, t, u, d, e, v, %s::timestamptz, %s::timestamptz
    FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::bytea[], %s::bytea[], %s::text[], %s::text[],
                %s::date[], %s::date[], %s::bigint[]) AS x (i, k, b, s, cb, cs, t, u, d, e, v)
    ORDER BY i
    ON CONFLICT (medium_id) DO UPDATE SET status = excluded.status, issuer = excluded.issuer,
        version = excluded.version, changed_at = excluded.changed_at WHERE m.version < excluded.version
    RETURNING medium_id, status
"""

MEDIUM_STATUS: Final = """
    UPDATE empi_medium m SET status = i.t, version = i.v, changed_at = %s::timestamptz
    FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS i (id, t, v)
    WHERE m.medium_id = i.id AND m.version < i.v RETURNING m.medium_id, m.status
"""

END_OF_MEDIA: Final = """
    UPDATE empi_identifier e SET state = 'ended', ended_at = %s::timestamptz, ended_reason = i.r
    FROM unnest(%s::text[], %s::text[]) AS i (id, r)
    WHERE e.medium_id = i.id AND e.state = 'active' RETURNING e.relation_id
"""

TIE: Final = """
    UPDATE empi_identifier e SET medium_id = i.m FROM unnest(%s::text[], %s::text[]) AS i (id, m)
    WHERE e.relation_id = i.id AND e.medium_id IS NULL
"""

MEDIA_OF: Final = """
    SELECT m.medium_id, m.kind, m.status, m.issuer, m.issued_on, m.valid_to, m.version, m.number_sealed, m.chip_sealed,
           EXISTS (SELECT 1 FROM empi_identifier e WHERE e.medium_id = m.medium_id AND e.state = 'active')
    FROM unnest(%s::text[]) AS i (id)
    JOIN LATERAL (SELECT * FROM empi_medium WHERE medium_id = i.id LIMIT 1) m ON true
"""
