"""`shrink` in this process: what it finds, what it claims, and where it ends."""

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import threading
from typing import NamedTuple

import dask
import numpy as np
import pandas as pd
import pytest
import shrink_tasks as tasks

import dbgkit
from dbgkit import errors
from dbgkit.model import Notice, Progress, Shrunk

BAD, TWIN = tasks.BAD, tasks.TWIN


def raised(function, *args):
    """What a task raises under Dask's synchronous scheduler."""
    try:
        dask.delayed(function)(*args).compute(scheduler="sync")
    except BaseException as error:
        return error
    raise AssertionError("it passed")


def shrunk(function, *args, **options):
    return dbgkit.shrink(raised(function, *args), **options)


def left(found):
    return [each.position for each in found.culprits]


def twins():
    frame = tasks.table()
    frame.loc[BAD, "id"] = TWIN
    return frame


def one_of_many_columns():
    frame = pd.DataFrame({f"c{i}": np.ones(10_000) for i in range(200)})
    frame["c77"] = frame["c77"].astype(object)
    frame.loc[5_000, "c77"] = "n/a"
    return frame


def halved(series):
    series = series.copy()
    series[BAD] = 0
    return series


PANDAS = [
    (tasks.amounts_to_numbers, lambda: (tasks.table(amount="n/a"),), [BAD]),
    (tasks.amounts_as_floats, lambda: (tasks.table(amount="n/a"),), [BAD]),
    (tasks.days_to_dates, lambda: (tasks.table(day="2020-13-45"),), [BAD]),
    (tasks.weights_as_integers, lambda: (tasks.table(weight=np.nan),), [BAD]),
    (tasks.shares, lambda: (tasks.table(weight=0),), [BAD]),
    (tasks.names_upper, lambda: (tasks.table(name=None),), [BAD]),
    (tasks.known_names, lambda: (tasks.table(name="nobody"),), [BAD]),
    (tasks.pivoted, lambda: (twins(),), [TWIN, BAD]),
    (tasks.indexed, lambda: (twins(),), [TWIN, BAD]),
    (tasks.reindexed, lambda: (twins(),), [TWIN, BAD]),
    (tasks.joined, lambda: (tasks.table(), twins()), [TWIN, BAD]),
    (tasks.appended, lambda: (tasks.table(), tasks.table(amount="n/a")), [BAD]),
    (tasks.ratios, lambda: (t := tasks.table().weight, halved(t)), [BAD, BAD]),
    (tasks.all_columns_to_numbers, lambda: (one_of_many_columns(),), [5_000]),
    (tasks.heaviest, lambda: (tasks.table(),), []),
]


@pytest.mark.parametrize(
    ("function", "made", "rows"), PANDAS, ids=lambda each: getattr(each, "__name__", "")
)
def test_what_fails_in_pandas_shrinks_to_its_rows_and_columns(function, made, rows):
    found = shrunk(function, *made())
    assert left(found) == rows
    assert found.verdict == {0: "none", 1: "one"}.get(len({*rows}), "some")
    assert found.minimal and not found.stopped
    frames = [each for each in found.inputs.values() if isinstance(each, pd.DataFrame)]
    assert all(frame.shape[1] <= 3 for frame in frames)
    # What is left fails the same way by itself.
    assert dbgkit.replay(found).outcome == "same"


def test_one_row_of_10k_and_one_column_of_200_take_few_runs():
    found = shrunk(one_column_bad, one_of_many_columns())
    assert [(each.what, each.left) for each in found.shrinkage] == [
        ("row", 1),
        ("column", 1),
    ]
    assert found.runs <= 40 and found.rows_tested <= 3 * found.rows


def one_column_bad(frame):
    """Says nothing of where it is."""
    for column in frame:
        for value in frame[column]:
            if isinstance(value, str):
                raise TypeError("a text among the numbers")


# --- what it is ---------------------------------------------------------------


def test_the_culprit_is_told_with_its_label_and_value():
    frame = tasks.table(amount="n/a")
    frame.index = [f"row-{number}" for number in range(len(frame))]
    (culprit,) = shrunk(tasks.amounts_as_floats, frame).culprits
    assert (culprit.what, culprit.position, culprit.label) == ("row", BAD, "'row-1234'")
    assert "n/a" in culprit.value and "frame" in culprit.input


def test_labels_that_are_not_unique_are_no_trouble():
    frame = tasks.table(amount="n/a")
    frame.index = [0] * len(frame)
    found = shrunk(tasks.amounts_as_floats, frame)
    assert left(found) == [BAD] and found.culprits[0].label == "0"


@pytest.mark.parametrize("where", ["here", "process"])
def test_the_culprit_is_told_as_it_was_whatever_of_it_matters(where):
    rows = [{"id": number, "amount": 1, "more": [1, 2]} for number in range(60)]
    del rows[7]["amount"]
    found = shrunk(lambda rows: [row["amount"] for row in rows], rows, where=where)
    assert found.culprits[0].value == "{'id': 7, 'more': [1, 2]}"
    assert list(found.inputs.values()) == [[{}]]


def test_the_culprit_within_a_container_is_told():
    job = {"rows": [{"id": number, "x": 60 - number} for number in range(61)], "n": 1}
    found = shrunk(lambda job: [job["n"] / row["x"] for row in job["rows"]], job)
    assert left(found) == [60] and "'x': 0" in found.culprits[0].value


def test_secrets_of_a_culprit_are_hidden():
    rows = [{"x": 1, "password": "hunter2-x"}] * 100 + [
        {"x": "n/a", "password": "hunter2-x"}
    ]
    found = shrunk(lambda rows: [r["x"] + 1 for r in rows if r["password"]], rows)
    assert left(found) == [100]
    assert "hunter2" not in f"{found!r}{found}{found.to_json()}"


def test_a_shrunk_input_is_a_target():
    found = shrunk(tasks.total, [{"x": 1}] * 300 + [{"y": 1}] + [{"x": 1}] * 300)
    assert dbgkit.locate(found).exception_type == "KeyError"
    with dbgkit.replay(found) as again:
        assert again.outcome == "same" and again.args == ([{}],)
    with dbgkit.replay(found, where="process") as again:
        assert again.outcome == "same"
    assert dbgkit.debug(found, prompt=False).outcome == "same"
    again = dbgkit.shrink(found)
    assert isinstance(again, Shrunk) and again.rows == 1


def test_what_is_called_a_secret_is_hidden():
    for words in (["a", "hunter2"], pd.Series(["a", "hunter2"], name="password")):
        found = shrunk(refuse_digits, words)
        assert left(found) == [1] and found.culprits[0].value == "<hidden>"
    found = shrunk(lambda d: refuse_digits(d["password"]), {"password": ["a", "b2"]})
    assert found.culprits[0].value == "<hidden>"


def refuse_digits(passwords):
    if any(char.isdigit() for word in passwords for char in word):
        raise ValueError("a digit")


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_containers_of_each_kind(kind):
    words = kind(["n/a", *map(str, range(500))])
    found = shrunk(tasks.floats, words)
    assert list(found.inputs.values()) == [kind(["n/a"])]


def test_keys_of_a_dict_and_what_is_within():
    found = shrunk(
        lambda named: [1 / each for row in named.values() for each in row],
        {"a": [1] * 50, "b": [1] * 20 + [0], "c": []},
    )
    assert list(found.inputs.values()) == [{"b": [0]}]
    assert [(e.what, e.position, e.value) for e in found.culprits] == [
        ("element", 20, "0")
    ]
    assert found.culprits[0].input.endswith("['b']")


@pytest.mark.parametrize("shape", [(1_000,), (100, 30), (10, 20, 30)])
def test_each_axis_of_an_array(shape):
    array = np.ones(shape)
    array[(7,) * len(shape)] = -1
    found = shrunk(refuse_negative, array)
    (smallest,) = found.inputs.values()
    assert smallest.shape == (1,) * len(shape) and smallest.max() == -1


def refuse_negative(array):
    if (array < 0).any():
        raise ValueError("negative")


def test_of_many_inputs_the_needed_one_is_found_first():
    parts = [np.ones(100) for _ in range(40)]
    parts[23][50] = -1
    found = shrunk(lambda *parts: [refuse_negative(each) for each in parts], *parts)
    assert found.verdict == "one" and found.runs <= 40
    assert sum(len(each) for each in found.inputs.values()) == 1


def test_a_text_is_not_taken_apart_where_the_exception_says_where():
    text = "[\n 1,\n 2,\n x\n]"
    found = shrunk(tasks.parsed, text)
    assert [(e.what, e.position, e.value) for e in found.culprits] == [
        ("line", 3, "' x'")
    ]
    assert list(found.inputs.values()) == [text] and found.runs <= 3


def test_every_part_that_fails_by_itself():
    words = [str(number) for number in range(300)]
    words[20], words[21], words[250] = "n/a", "", "none"
    found = shrunk(tasks.floats, words, all=True)
    assert left(found) == [20, 21, 250]
    assert [each.value for each in found.culprits] == ["'n/a'", "''", "'none'"]
    assert found.verdict == "one"
    assert left(shrunk(tasks.floats, words)) == [20]


def test_every_row_is_shown_with_the_columns_that_matter():
    frame = tasks.table(amount="n/a")
    frame.loc[7, "amount"] = "none"
    found = shrunk(tasks.amounts_as_floats, frame, all=True)
    assert [(e.label, e.value) for e in found.culprits] == [
        ("7", "{'amount': 'none'}"),
        (str(BAD), "{'amount': 'n/a'}"),
    ]


# --- the same way ---------------------------------------------------------------


def test_of_two_words_that_fail_the_one_is_found_that_was_told():
    words = [str(number) for number in range(1_000)]
    words[300], words[700] = "late", "later"
    found = shrunk(tasks.floats, words)
    assert left(found) == [300] and found.culprits[0].value == "'late'"


def test_a_key_error_of_another_key_is_another_failure():
    found = shrunk(lookup, {"a": 1}, ["a"] * 500 + ["b"] + ["a"] * 500)
    assert found.inputs["argument keys of lookup"] == ["b"]


def lookup(known, keys):
    found = {key: known[key] for key in keys}
    return found["a"]


@pytest.mark.parametrize("most", [2, 20])
def test_a_missing_key_stays_the_one_that_is_missing(most):
    """Without some other key it would fail too, at that line, for want of that."""
    row = {name: {} for name in "abcdefghijklmnopqrst"[:most]}
    found = shrunk(nested, [{**row, "a": {"x": 1}}] * 30 + [row] + [row] * 3)
    assert found.failure.message == "'x'" and found.notes == ()


def nested(rows):
    return [(row["b"] and 0) or row["a"]["x"] for row in rows]


def test_a_failure_of_another_kind_in_its_place_is_told(monkeypatch):
    error = raised(tasks.floats, ["1"] * 50 + ["n/a"])
    same = dbgkit.shrink(error)
    assert same.notes == ()
    changed = raised(by_place, ["1"] * 50 + ["n/a"])
    monkeypatch.setitem(PLACE, "known", {})
    found = dbgkit.shrink(changed)
    assert found.failure.exception_type == "KeyError"
    assert "in another way" in found.notes[0] and "KeyError: '1'" in found.notes[0]


PLACE = {"known": {"1": 1.0}}


def by_place(rows):
    return [PLACE["known"][row] if row.isdigit() else float(row) for row in rows]


def test_a_message_that_lists_its_data_may_list_less():
    found = shrunk(tasks.list_the_bad, tasks.named_rows())
    assert found.verdict == "one" and left(found) == [7] and found.notes == ()


def test_a_message_that_no_smaller_part_has_is_dropped_and_that_is_said():
    found = shrunk(tasks.print_the_bad, tasks.named_rows())
    assert found.verdict == "one" and len(left(found)) == 1
    assert "no smaller part fails with the message" in found.notes[0]
    assert dbgkit.replay(found).outcome == "same"


def test_another_line_is_another_failure():
    found = shrunk(two_lines, [*range(500), "a", *range(500)])
    assert left(found) == [500]


def two_lines(rows):
    if len(rows) < 3 and "a" not in rows:
        raise TypeError("bad row")
    if "a" in rows:
        raise TypeError("bad row")


def test_an_input_that_is_changed_in_place_is_copied_for_each_run():
    rows = [*range(100), -1, *range(100)]
    error = raised(tasks.in_place, rows)
    before = list(rows)
    found = dbgkit.shrink(error)
    assert rows == before
    assert found.verdict == "some" and -1 in found.inputs["argument rows of in_place"]
    assert dbgkit.replay(found).outcome == "same"


def carried(rows):
    """As joblib returns what its function raises."""
    try:
        return [1 // row for row in rows]
    except ZeroDivisionError as error:
        return _ExceptionWithTraceback(error)


class _ExceptionWithTraceback:
    def __init__(self, error):
        self.exc = error


def test_an_exception_that_is_being_handled_keeps_its_traceback():
    from dbgkit.remote.common.exceptions import linked
    from dbgkit.replays.calling import call_task

    node = dask._task_spec.Task("carried", carried, [1, 0])
    try:
        raise LookupError("the user's own")
    except LookupError as error:
        call = call_task(node, {}, contextlib.nullcontext())
        assert error not in linked(call.exception)


def test_literals_that_are_changed_in_place_are_copied_too():
    seen = []
    error = raised(remember, [*range(50), -1], seen)
    del seen[:]
    found = dbgkit.shrink(error)
    assert left(found) == [50] and seen == []


def remember(rows, seen=None):
    seen.append(len(seen))
    if -1 in rows and len(seen) == 1:
        raise ValueError("there is a -1")


# --- verdicts -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "rows", "verdict"),
    [
        (tasks.floats, [*map(str, range(100)), "x"], "one"),
        (lambda rows: [][1] if {3, 70} <= {*rows} else 0, list(range(100)), "some"),
        (lambda rows: [][1] if {3, 4} <= {*rows} else 0, list(range(100)), "block"),
        (tasks.too_many, list(range(1_000)), "size"),
        (tasks.first_row, list(range(100)), "none"),
        (lambda rows: rows and 1 / 0, list(range(100)), "any"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_verdicts(function, rows, verdict):
    found = shrunk(function, rows)
    assert found.verdict == verdict
    assert found.minimal and verdict in str(found)


def test_what_its_being_small_makes_fail_is_told_by_a_control():
    found = shrunk(tasks.any_two, [*range(500), -1, *range(500)])
    assert found.verdict in ("one", "any")
    small = shrunk(fail_if_small, list(range(400)))
    assert small.verdict == "any" and "in their place" in str(small)


def fail_if_small(rows):
    """The whole fails for what is in it; two fail for being two."""
    if len(rows) == 2 or (len(rows) > 10 and 200 in rows):
        raise ValueError("singular")


def taxed(rows, rates):
    return (rows.state.map(lambda state: rates[state]) * rows.amount).sum()


def taxed_each(rows, rates):
    return [rates[row["state"]] * row["amount"] for row in rows.to_dict("records")]


@pytest.mark.parametrize("function", [taxed, taxed_each])
def test_a_control_has_all_else_that_the_whole_had(function):
    """Other rows fail without the rates, and without the columns, that it can spare."""
    rows = pd.DataFrame({"state": ["NY", "CA"] * 200, "amount": 1.0, "more": "x"})
    rows.loc[123, "state"] = "PR"
    found = shrunk(function, rows, {"NY": 0.1, "CA": 0.2})
    assert found.verdict == "one" and left(found) == [123]


def check(rows, limits):
    for row in rows:
        if not limits["low"] <= row <= limits["high"]:
            raise ValueError("out of range")


def test_keys_that_the_task_needs_are_no_culprits():
    found = shrunk(check, [*range(50), 99], {"low": 0, "high": 60, "more": 1})
    assert found.verdict == "one" and left(found) == [50]
    assert found.inputs["argument limits of check"] == {"low": 0, "high": 60}
    nothing = shrunk(lambda rows, limits: rows[limits["at"]], [0] * 9, {"at": 9})
    assert nothing.verdict == "none" and "with no elements at all" in str(nothing)


def convert(rows, kind, limits):
    """``kind`` is a setting that is a text, and has one line."""
    return [getattr(builtins, kind)(row) for row in rows] and limits


def test_settings_of_one_part_are_no_culprits():
    rows = [*map(str, range(50)), "n/a"]
    found = shrunk(convert, rows, "float", [7])
    assert found.verdict == "one" and left(found) == [50]


def named(rows, folder):
    """Fails before it comes to write to the folder."""
    open(folder + "/" + "".join(str(1 // row) for row in rows), "w").close()


def test_a_text_of_one_line_is_left_as_it_is():
    found = shrunk(named, [1] * 50 + [0], "somewhere")
    assert left(found) == [50]
    assert not any("folder" in each.input for each in found.shrinkage)
    with pytest.raises(errors.DbgkitError, match="no input that could be shrunk"):
        shrunk(os.listdir, "not/there")


def test_keys_are_not_next_to_each_other():
    found = shrunk(lambda row: row["a"] / row["b"], {"a": 1, "b": 0, "c": 2})
    assert found.verdict == "some" and left(found) == [0, 1]


def test_keys_are_culprits_where_nothing_else_is_left():
    table = {"a": 1, "b": 0, "c": 2}
    found = shrunk(
        lambda rows, table: [1 // each for each in table.values()],
        list(range(50)),
        table,
    )
    assert found.verdict == "one" and found.culprits[0].label == "'b'"
    assert "one key makes it fail" in str(found)


class Pair(NamedTuple):
    frame: pd.DataFrame
    more: int


def test_what_is_within_a_tuple_of_another_class():
    frame = pd.DataFrame({"a": [1.0] * 50 + [0.0]})
    found = shrunk(lambda pair: [1 / each for each in pair.frame.a], Pair(frame, 2))
    assert found.verdict == "one" and left(found) == [50]


def test_a_key_is_a_culprit_where_keys_are_the_data():
    table = {f"id{number}": number - 20 for number in range(60)}
    found = shrunk(lambda table, all: [1 // table[key] for key in table], table, [1])
    assert found.verdict == "one" and found.culprits[0].label == "'id20'"


def both(a, b):
    if 7 in a and 9 in b:
        raise ValueError("both")


def test_parts_of_two_inputs_are_told_as_such():
    found = shrunk(both, list(range(50)), list(range(40)))
    assert found.verdict == "some" and left(found) == [7, 9]
    text = str(found)
    assert "parts of 2 inputs make it fail together" in text
    assert "9, of argument b of both" in text


def test_an_input_of_which_nothing_is_left_is_not_what_the_verdict_is_of():
    found = shrunk(lambda a, b: a + b[:, None], np.zeros((18, 24)), np.zeros(41))
    assert found.verdict == "size"
    assert "it fails with 2 parts or more" in str(found)


def test_what_passes_on_a_repeat_is_flaky(tmp_path):
    error = raised(tasks.sometimes, [1, 2, 3], str(tmp_path / "counter"))
    found = dbgkit.shrink(error)
    assert found.verdict == "flaky" and not found.minimal and found.runs == 3
    assert "passed on each of 3 runs" in found.notes[0]


# --- limits -------------------------------------------------------------------


def test_the_limit_of_runs_gives_the_best_so_far():
    found = shrunk(tasks.raise_slowly, tasks.with_minus_one(), runs=6)
    assert found.runs == 6 and found.stopped == "runs" and not found.minimal
    assert found.shrinkage[0].left == 250 and found.omitted == 150
    assert "limit of runs" in " ".join(str(found).split())
    assert dbgkit.replay(found).outcome == "same"


def test_the_limit_of_time_gives_the_best_so_far():
    found = shrunk(tasks.raise_slowly, tasks.with_minus_one(), time="0.4s")
    assert 2 <= found.runs <= 9 and found.stopped == "time"
    assert dbgkit.replay(found).outcome == "same"


def test_a_limit_before_the_first_run_has_ended_is_an_error():
    error = raised(tasks.raise_slowly, tasks.with_minus_one())
    assert dbgkit.shrink(error, runs=1).stopped == "runs"
    with pytest.raises(errors.WaitTimedOut, match="before the limit; raise time="):
        dbgkit.shrink(error, time="1 us")


def test_ctrl_c_gives_the_best_so_far():
    error = raised(tasks.raise_slowly, tasks.with_minus_one())

    def interrupt(event):
        if isinstance(event, Progress) and event.done >= 750:
            os.kill(os.getpid(), signal.SIGINT)

    found = dbgkit.shrink(error, notify=interrupt)
    assert found.stopped == "ctrl-c" and 0 < len(found.culprits) <= 250
    assert dbgkit.replay(found).outcome == "same"


@pytest.mark.parametrize(
    "options", [{"runs": 0}, {"runs": "3"}, {"time": "soon"}, {"where": "there"}]
)
def test_options_of_another_kind_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        dbgkit.shrink(ZeroDivisionError(), **options)


def test_progress_says_what_is_left_and_that_it_runs_again():
    events = []
    shrunk(tasks.raise_slowly, tasks.with_minus_one(100, 70), notify=events.append)
    notice = next(each for each in events if isinstance(each, Notice))
    assert "runs again and again, for at most 60 s" in notice.text
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "shrink"]
    assert [e.done for e in steps] == sorted(e.done for e in steps)
    assert (steps[-1].done, steps[-1].total, steps[-1].unit) == (99, 100, "parts")


# --- what cannot be copied -----------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it has no forks")
def test_what_cannot_be_copied_is_shrunk_in_forks():
    lock = threading.Lock()
    error = raised(refuse_locks, [*range(200), lock])
    with pytest.raises(errors.InputNotCopyable):
        dbgkit.shrink(error, where="here")
    found = dbgkit.shrink(error)
    assert found.where == "process" and left(found) == [200]
    assert found.inputs == {"argument rows of refuse_locks": [lock]}
    assert dbgkit.replay(found).outcome == "same"


def refuse_locks(rows):
    if any(hasattr(each, "acquire") for each in rows):
        raise ValueError("a lock")


def test_a_replay_is_compared_with_the_run_on_the_smallest_input():
    error = raised(caused, [*range(100), "n/a"])
    found = dbgkit.shrink(error)
    with dbgkit.replay(found) as again:
        assert again.outcome == "same"
        assert again.notes == ("it runs on the smallest input, as shrink has found it",)


def caused(rows):
    try:
        return [row + 1 for row in rows]
    except TypeError as error:
        raise ValueError("a row is no number") from error
