"""The search for a smallest failing part, on positions alone: no task runs."""

from __future__ import annotations

import random
import statistics

import pytest
from fuzzing import bounded, examples
from hypothesis import given
from hypothesis import strategies as st
from shrink_kit import FIGURES, cost_of

from dbgkit.remote.common.shrink_search import Known, alone, smallest
from dbgkit.remote.common.shrink_spans import (
    both,
    joined,
    positions,
    size_of,
    spans_of,
    split,
    spread,
    within,
    without,
)

SETS = st.sets(st.integers(0, 60))


# --- sets of positions --------------------------------------------------------


@examples(300)
@given(SETS, SETS)
def test_spans_are_sets(one, other):
    a, b = spans_of(one), spans_of(other)
    assert set(positions(a)) == one and size_of(a) == len(one)
    assert set(positions(both(a, b))) == one | other
    assert set(positions(without(a, b))) == one - other
    assert joined(a) == a


@examples(300)
@given(SETS, st.integers(0, 70))
def test_spans_are_split_and_spread_by_number(found, count):
    spans, ordered = spans_of(found), sorted(found)
    first, rest = split(spans, count)
    assert list(positions(first)) == ordered[:count]
    assert list(positions(rest)) == ordered[count:]
    chosen = spread(spans, count)
    assert size_of(chosen) == min(count, len(ordered))
    assert set(positions(chosen)) <= found


@examples(300)
@given(SETS, SETS)
def test_a_part_of_a_part_is_in_positions_of_the_whole(found, chosen):
    ordered = sorted(found)
    part = within(spans_of(found), spans_of(chosen))
    assert list(positions(part)) == [
        ordered[i] for i in sorted(chosen) if i < len(ordered)
    ]


# --- what is found ------------------------------------------------------------


@examples(300)
@given(st.integers(1, 60), st.lists(SETS, min_size=1, max_size=4), st.data())
def test_what_is_left_fails_and_no_part_can_be_left_out(count, reasons, data):
    """With several reasons, each of which is enough, and all needed for each."""
    reasons = [{each for each in reason if each < count} for reason in reasons]

    def fails(spans):
        here = set(positions(spans))
        return any(reason <= here for reason in reasons)

    kept = smallest(count, fails).kept
    assert fails(kept)
    for each in positions(kept):
        assert not fails(without(kept, ((each, each + 1),)))


def test_a_number_is_not_what_counts_where_one_less_fails_too():
    reasons = [{*range(8), 47}, {*range(1, 9), 47}, {0, 2, 3, 6, 47}]

    def fails(spans):
        here = set(positions(spans))
        return any(reason <= here for reason in reasons)

    found = smallest(48, fails)
    assert not found.counts and size_of(found.kept) < 10


@examples(300)
@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_what_follows_no_rule_is_still_1_minimal(count, choose):
    """Larger parts may pass where smaller ones fail."""
    known = {((0, count),): True}

    def fails(spans):
        if spans not in known:
            known[spans] = choose.random() < 0.3
        return known[spans]

    found = smallest(count, fails)
    assert fails(found.kept)
    if not found.counts:
        for each in positions(found.kept):
            assert not fails(without(found.kept, ((each, each + 1),)))


def test_what_fails_on_nothing_takes_two_runs():
    assert cost_of(1_000, lambda spans: True) == (2, 1_000)
    assert smallest(1_000, lambda spans: True).kept == ()
    assert smallest(0, lambda spans: True).kept == ()


def test_a_position_that_is_given_is_tried_first():
    runs = []

    def fails(spans):
        runs.append(spans)
        return 777 in positions(spans)

    assert smallest(10**6, fails, hints=[5, 777]).kept == ((777, 778),)
    assert runs == [(), ((5, 6),), ((777, 778),)]


@pytest.mark.parametrize("hint", [-1, 10, 10**12])
def test_a_position_that_is_not_there_is_not_tried(hint):
    assert smallest(10, lambda spans: 3 in positions(spans), [hint]).kept == ((3, 4),)


@pytest.mark.parametrize("least", [9, 100, 250, 600, 999])
def test_where_the_number_counts_that_is_found_out(least):
    found = smallest(1_000, lambda spans: size_of(spans) >= least)
    assert found.counts and size_of(found.kept) == least


def test_many_that_are_needed_are_not_taken_for_a_number():
    needed = set(range(0, 1_000, 3))
    found = smallest(1_000, lambda spans: needed <= set(positions(spans)))
    assert not found.counts and set(positions(found.kept)) == needed


def test_a_stop_comes_through():
    def fails(spans):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        smallest(10, fails)


@examples(300)
@given(SETS)
def test_each_that_fails_by_itself_is_found(bad):
    found = list(alone(61, lambda spans: bool(bad & set(positions(spans)))))
    assert found == (sorted(bad) or [])


# --- what it costs ------------------------------------------------------------


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_few_runs_and_few_rows_are_tested(figure):
    """Means of some seeds; ``tests/bench`` has twenty, and the bars without slack."""
    costs = []
    for seed in range(4):
        random.seed(seed)
        costs.append(cost_of(figure.count, figure.make()))
    runs, tested = zip(*costs, strict=True)
    assert statistics.mean(runs) <= figure.runs * 1.1
    assert statistics.mean(tested) / figure.count <= figure.tested * 1.1


def test_what_is_remembered_takes_bounded_room():
    known = Known()
    for number in range(3_000):
        known.note(spans_of(range(0, 2_000, 2)), number)
        known.note(((number, number + 1),), number)
    assert sum(map(len, known)) <= Known.room and known.room < 0


def test_thousands_that_are_needed_take_no_room_to_speak_of():
    needed = set(range(0, 3_000, 2))
    with bounded(60.0, 100_000_000):
        found = smallest(3_000, lambda spans: needed <= set(positions(spans)))
    assert set(positions(found.kept)) == needed
