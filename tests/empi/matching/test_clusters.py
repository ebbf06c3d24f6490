"""Clusters under constraints: no chain makes twins one person, the same input gives the same groups, quickly."""

from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from yimatong.empi.matching.clusters import Conflict, cluster

_RECORDS = 12


def test_a_chain_does_not_make_two_certificates_one_person() -> None:
    """A resembles B, B resembles C; A and C hold different numbers: the weaker link is a conflict."""
    found = cluster([(0, 1, 9.0), (1, 2, 12.0)], certificates={0: ("01:a",), 2: ("01:b",)})
    assert found.group == {0: 0, 1: 1, 2: 1}
    assert found.conflicts == [Conflict(0, 1, 9.0, "certificates")]


def test_certificates_of_two_types_do_not_contradict() -> None:
    """A passport beside an identity card is no conflict, and the group then holds both."""
    held = {0: ("01:a",), 1: ("03:p",), 2: ("03:q",)}
    found = cluster([(0, 1, 9.0), (0, 2, 8.0)], certificates=held)
    assert found.group == {0: 0, 1: 0, 2: 2}
    assert [each.reason for each in found.conflicts] == ["certificates"]


def test_a_rejected_pair_stays_apart_by_any_chain() -> None:
    """Twins 0 and 3 were rejected; three good links lead from one to the other."""
    links = [(0, 1, 30.0), (1, 2, 20.0), (2, 3, 25.0)]
    found = cluster(links, apart=[(3, 0)])
    assert found.group == {0: 0, 1: 0, 2: 2, 3: 2}
    assert found.conflicts == [Conflict(1, 2, 20.0, "apart")]
    assert len(set(cluster(links).group.values())) == 1, "without the rejection they are one"


def test_equal_weights_are_settled_by_number() -> None:
    """Ties do not depend on the order in which links were found."""
    links = [(0, 1, 5.0), (1, 2, 5.0)]
    held = {0: ("01:a",), 2: ("01:b",)}
    assert cluster(links, certificates=held) == cluster([(2, 1, 5.0), (1, 0, 5.0)], certificates=held)


def test_a_link_against_heavier_evidence_for_somebody_else_is_refused() -> None:
    """Record 3 has the home and nearly the name of 2 (a steward is to see that pair), and is a namesake of 1."""
    held = {1: ("01:a",), 2: ("01:b",)}
    found = cluster([(3, 1, 7.0)], certificates=held, rivals=[(2, 3, 20.0)])
    assert found.conflicts == [Conflict(1, 3, 7.0, "rival")]
    assert found.group == {1: 1, 2: 2, 3: 3}
    for lighter in ([(2, 3, 6.0)], [(0, 3, 20.0)]):  # less evidence; or one who may be the same person
        assert cluster([(3, 1, 7.0)], certificates=held, rivals=lighter).group[3] == 1


_pairs = st.tuples(st.integers(0, _RECORDS - 1), st.integers(0, _RECORDS - 1)).filter(lambda pair: pair[0] != pair[1])


@given(
    links=st.lists(st.tuples(_pairs, st.integers(0, 5)), max_size=30),
    apart=st.lists(_pairs, max_size=6),
    held=st.dictionaries(st.integers(0, _RECORDS - 1), st.sampled_from(["01:a", "01:b", "02:a", "02:c"])),
    seed=st.integers(0, 9),
)
def test_no_group_breaks_a_constraint_and_nothing_is_refused_without_a_reason(
    links: list[tuple[tuple[int, int], int]], apart: list[tuple[int, int]], held: dict[int, str], seed: int
) -> None:
    """Groups keep all constraints; every link is inside a group or a conflict; order of input does not matter."""
    given_links = [(left, right, float(weight)) for (left, right), weight in links]
    certificates = {record: (each,) for record, each in held.items()}
    found = cluster(given_links, certificates=certificates, apart=apart)
    group = {record: found.group.get(record, record) for record in range(_RECORDS)}
    for left, right in apart:
        assert group[left] != group[right]
    for one, ours in held.items():
        for other, theirs in held.items():
            assert not (group[one] == group[other] and ours[:2] == theirs[:2] and ours != theirs)
    refused = {(each.left, each.right) for each in found.conflicts}
    for left, right, _weight in given_links:
        assert group[left] == group[right] or (min(left, right), max(left, right)) in refused
    shuffled = given_links[:]
    random.Random(seed).shuffle(shuffled)
    assert cluster(shuffled, certificates=certificates, apart=apart[::-1]) == found


def test_three_hundred_thousand_links_take_seconds() -> None:
    """A long chain and many small groups: no step looks at a whole group."""
    count = 300_000
    links = [(n, n + 1, 1.0 + n % 7) for n in range(count) if n % 3 or n < count // 2]
    held = {n: (f"01:{n // 1000}",) for n in range(0, count, 5)}
    began = time.process_time()
    found = cluster(links, certificates=held)
    assert time.process_time() - began < 20
    assert found.conflicts
