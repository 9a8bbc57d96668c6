"""Parts of values, their copies, what is shrunk of a task, and what fails alike."""

from __future__ import annotations

import pytest
from dask._task_spec import DataNode, List, Task, TaskRef
from dask.utils import parse_bytes

from dbgkit.remote.common.shrink_call import slots_of, with_values
from dbgkit.remote.common.shrink_copies import Copies
from dbgkit.remote.common.shrink_cuts import Budget
from dbgkit.remote.common.shrink_engine import OTHER, SAME, WORDED, Engine
from dbgkit.remote.common.shrink_parts import at, axes_of, children_of, put, take
from dbgkit.remote.common.shrink_spans import size_of, spans_of
from dbgkit.remote.recording.shrink_same import Whole, describe
from dbgkit.remote.worker.shrink_verdict import with_names

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


# --- parts --------------------------------------------------------------------


FRAME = pd.DataFrame({"a": range(6), "b": list("uvwxyz")}, index=[7] * 6)
VALUES = {
    "list": [*range(6)],
    "tuple": tuple(range(6)),
    "dict": {name: 1 for name in "abcdef"},
    "text": "a\nb\nc\r\nd\ne\nf",
    "bytes": b"a\nb\nc\nd\ne\nf\n",
    "frame": FRAME,
    "series": FRAME.b,
    "index": pd.MultiIndex.from_product([[1, 2, 3], [4, 5]]),
    "categories": FRAME.b.astype("category"),
    "array": np.arange(6),
    "deep array": np.arange(12).reshape(6, 2),
    "masked array": np.ma.masked_less(np.arange(6), 2),
    "table": pa.table(FRAME.reset_index(drop=True)),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("chosen", [(), (0,), (5,), (1, 2, 3), (0, 2, 5), range(6)])
def test_parts_are_of_the_same_type_and_in_order(name, chosen):
    value = VALUES[name]
    assert axes_of(value)[0].size == 6
    part = take(value, 0, spans_of(chosen))
    assert type(part) is type(value) and part is not value
    assert axes_of(part)[0].size == len(chosen)
    if isinstance(value, (pd.DataFrame, pd.Series)):
        assert part.equals(value.iloc[list(chosen)])
    elif isinstance(value, (str, bytes)):
        lines = value.splitlines(keepends=True)
        assert part == type(value)().join(lines[each] for each in chosen)
    elif isinstance(value, (list, tuple)):
        assert list(part) == [value[each] for each in chosen]


def test_other_axes_are_taken_too():
    assert take(FRAME, 1, ((1, 2),)).columns.tolist() == ["b"]
    assert take(VALUES["table"], 1, ((0, 1),)).column_names == ["a"]
    cube = np.arange(24).reshape(2, 3, 4)
    assert take(cube, 2, spans_of([0, 3])).tolist() == cube[:, :, [0, 3]].tolist()


@pytest.mark.parametrize("value", [None, 3, 1.5, object(), np.float64(2), np.array(3)])
def test_what_has_no_parts_is_left_whole(value):
    assert axes_of(value) == ()


def test_subclasses_of_containers_are_left_whole():
    class Rows(list):
        pass

    assert axes_of(Rows([1, 2])) == ()


def test_a_part_within_containers_is_put_into_new_ones():
    value = {"a": [1, (2, [3, 4])]}
    path = ("a", 1, 1)
    assert at(value, path) == [3, 4]
    assert put(value, path, []) == {"a": [1, (2, [])]}
    assert value == {"a": [1, (2, [3, 4])]}
    assert children_of(value) == ["a"] and children_of([*range(9)]) == []


# --- copies -------------------------------------------------------------------


def copied(value):
    """A copy, and how many values were copied by their pickle."""
    import pickle

    pickled = []

    def by_pickle(value):
        pickled.append(value)
        return pickle.loads(pickle.dumps(value))

    copies = Copies(by_pickle)
    copies.know("x", value)
    return copies.fresh("x", value), len(pickled)


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.0, "a", None],
        {"a": 1},
        {1, 2},
        np.arange(3),
        FRAME,
        FRAME.b,
        FRAME.astype("category"),
        FRAME.convert_dtypes(),
        pd.DataFrame({"when": [pd.Timestamp("2020"), pd.NaT], "o": ["a", np.nan]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_nothing_that_can_change_is_copied_cheaply(value):
    copy, pickled = copied(value)
    assert copy is not value and pickled == 0


@pytest.mark.parametrize(
    "value",
    [
        [[1], 2],
        {"a": [1]},
        pd.DataFrame({"o": [[1], [2]]}),
        np.array([[1], {}], dtype=object),
        ([1],),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_something_that_can_change_is_copied_with_it(value):
    copy, pickled = copied(value)
    assert pickled == 1 and copy is not value


def test_a_copy_can_be_changed():
    frame = FRAME.copy()
    copy, _ = copied(frame)
    copy.iloc[0, 0] = 99
    copy.pop("b")
    assert frame.equals(FRAME)


# --- what is shrunk of a task ---------------------------------------------------


def compute(key, node):
    return node({})


def add(rows, more=(), *, options=None):
    return [*rows, *more]


def test_inputs_and_literals_are_shrunk_and_options_are_not():
    node = Task("k", add, TaskRef("x"), [1, 2, 3], options={"a": 1})
    found = slots_of("k", node, {"x": [*range(9)]}, compute)
    assert list(found.values) == [("input", "x")]
    alone = slots_of("k", Task("k", add, [1, 2, 3]), {}, compute)
    assert alone.values == {("literal", 0): [1, 2, 3]}
    wide = Task("k", add, TaskRef("x"), [*range(100)])
    found = slots_of("k", wide, {"x": [1]}, compute)
    assert list(found.values) == [("input", "x"), ("literal", 1)]


def test_a_task_runs_with_other_values():
    node = Task("k", add, TaskRef("x"), [*range(100)], options={"a": 1})
    found = slots_of("k", node, {"x": [5]}, compute)
    less, inputs = found.on({("input", "x"): [], ("literal", 1): [7]})
    assert less(inputs) == [7] and node({"x": [5]})[1:3] == [0, 1]


def test_literals_in_containers_of_dasks_own():
    node = Task("k", add, List(1, 2, 3))
    assert slots_of("k", node, {}, compute).values == {("literal", 0): [1, 2, 3]}
    node = Task("k", add, List(TaskRef("x"), TaskRef("y")))
    found = slots_of("k", node, {"x": [1], "y": [2]}, compute)
    assert list(found.values) == [("input", "x"), ("input", "y")]


def test_what_a_step_has_read_is_shrunk():
    def read():
        return iter(range(10))

    steps = [
        Task("read", read),
        Task("kept", add, TaskRef("read"), TaskRef("x")),
    ]
    node = Task.fuse(*steps, key="k")
    found = slots_of("k", node, {"x": [1]}, compute)
    assert found.values[("step", "read")] == [*range(10)]
    less, inputs = found.on({("step", "read"): [3], ("input", "x"): [4]})
    assert less(inputs) == [3, 4]


def test_a_first_step_that_raises_is_the_one_that_is_shrunk():
    def read(rows):
        raise ValueError("no")

    first = Task("read", read, DataNode("d", [1, 2]))
    node = Task.fuse(first, Task("k", add, TaskRef("read")), key="k")
    found = slots_of("k", node, {}, compute)
    assert found.key == "read" and list(found.values.values()) == [[1, 2]]


def test_a_step_that_reads_as_it_is_asked_is_left_as_it_is():
    def read():
        yield 1
        raise ValueError("no")

    node = Task.fuse(Task("read", read), Task("k", add, TaskRef("read")), key="k")
    found = slots_of("k", node, {}, compute)
    assert found.values == {} and found.node is node


@pytest.mark.parametrize("lazily", [False, True], ids=["at once", "as it is asked"])
def test_ctrl_c_while_a_step_reads_is_no_failure_of_the_step(lazily):
    def stopped():
        raise KeyboardInterrupt

    def later():
        yield 1
        raise KeyboardInterrupt

    read = Task("read", later if lazily else stopped)
    node = Task.fuse(read, Task("k", add, TaskRef("read")), key="k")
    with pytest.raises(KeyboardInterrupt):
        slots_of("k", node, {}, compute)


def test_steps_that_nothing_needs_any_more_are_left_out():
    node = Task.fuse(
        Task("a", add, TaskRef("x")), Task("b", add, TaskRef("a")), key="b"
    )
    less = with_values(node, {("step", "a"): [1]})
    assert less({"x": None}) == [1]


# --- the same way ---------------------------------------------------------------


def described(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return describe(error)
    raise AssertionError("it passed")


def fail(kind, message, cause=None):
    if cause is not None:
        raise kind(message) from cause
    raise kind(message)


def fail_elsewhere(kind, message):
    raise kind(message)


def likeness(one, other):
    return Whole(described(*one)).likeness(described(*other))


@pytest.mark.parametrize(
    ("message", "other", "level"),
    [
        ("bad row 3", "bad row 4", SAME),
        ("bad rows: [1, 2, 3]", "bad rows: [2]", SAME),
        ("bad names: ['a', 'b', 'c']", "bad names: ['b']", SAME),
        ("no 'a' here", "no 'b' here", WORDED),
        ("bad names: ['a', 'b']", "bad names: ['c']", WORDED),
        ("bad names: a b", "bad names: a", WORDED),
        ("at 0x7f0000000001", "at 0x7f0000000002", SAME),
    ],
)
def test_a_message_may_say_less_and_nothing_else(message, other, level):
    assert likeness((fail, ValueError, message), (fail, ValueError, other)) == level


def test_class_line_and_causes_count():
    same = (fail, ValueError, "no")
    assert likeness(same, same) == SAME
    assert likeness(same, (fail, TypeError, "no")) == OTHER
    assert likeness(same, (fail_elsewhere, ValueError, "no")) == OTHER
    caused = (fail, ValueError, "no", KeyError("a"))
    assert likeness(caused, caused) == SAME
    assert likeness(caused, (fail, ValueError, "no", KeyError("b"))) == WORDED
    assert likeness(caused, (fail, ValueError, "no", TypeError("a"))) == OTHER


def of_dask(function, *args):
    """What Dask's own code raises, as a worker sees it: none of our frames."""
    with pytest.raises(ValueError) as caught:
        function(*args)
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    found = describe(error)
    assert not found["form"]["frames"]
    return found


def test_what_dask_raises_itself_is_compared_by_the_line_that_raises_it():
    found = Whole(of_dask(parse_bytes, "5 foos"))
    assert found.likeness(of_dask(parse_bytes, "5 foos")) == SAME
    assert found.likeness(of_dask(parse_bytes, "5 bars")) == WORDED
    assert found.likeness(of_dask(parse_bytes, "5.5.5 kB")) == OTHER


@pytest.mark.parametrize(
    ("error", "hints"),
    [
        (ValueError("Unable to parse string 'x' at position 17"), [17]),
        (ValueError("Expected 3 fields in line 5, saw 4"), [5]),
        (ValueError("nothing of that kind"), []),
        (ValueError("row 1 row 2 row 3 row 4 row 5 row 6 row 7 row 8"), [*range(1, 7)]),
    ],
)
def test_positions_that_an_exception_gives(error, hints):
    def throw():
        raise error

    assert described(throw)["hints"] == hints


def test_where_in_a_text_a_parser_failed():
    import json

    assert described(json.loads, "[1,\n x]")["in_text"] == "line 2, position 5"
    assert described(compile, "a b", "x", "eval")["in_text"] == "line 1"
    assert described(fail, ValueError, "no")["in_text"] == ""


# --- several values at once ------------------------------------------------------


def engine(values, fails):
    def attempt(values):
        return SAME if fails(**values) else OTHER

    made = Engine(values, attempt, Budget(float("inf")), lambda *told: None)
    made.run()
    return made


def test_values_of_one_length_are_shrunk_together():
    def fails(a, b):
        return len(a) == len(b) and 700 in a

    found = engine({"a": [*range(1_000)], "b": [*range(1_000)]}, fails)
    assert found.values == {"a": [700], "b": [700]} and found.settled


def test_what_becomes_possible_later_is_tried_again():
    """Rows can go once the columns that need them have gone."""

    def fails(frame):
        return "b" in frame.columns and (
            len(frame) >= 3 if "a" in frame.columns else len(frame) >= 1
        )

    found = engine({"frame": FRAME}, fails)
    assert found.values["frame"].shape == (1, 1) and found.settled


def test_a_list_that_holds_itself_comes_to_an_end():
    ring = []
    ring.append(ring)
    assert engine({"ring": ring}, lambda ring: len(ring) == 1).settled


def test_no_single_part_of_any_value_can_be_left_out():
    needed = {"a": {3, 40}, "b": {7}}

    def fails(a, b, c):
        return needed["a"] <= set(a) and needed["b"] <= set(b)

    found = engine({name: [*range(50)] for name in "abc"}, fails)
    assert found.values == {"a": [3, 40], "b": [7], "c": []}
    assert all(size_of(cut.kept) == cut.left for cut in found.cuts)


def test_parts_within_a_container_are_counted_from_where_they_were_found():
    def fails(pair):
        return len(pair) == 2 and {3, 60} <= set(pair[1])

    found = engine({"pair": ([1, 2], [*range(100)])}, fails)
    assert found.values == {"pair": ([], [3, 60])}
    place = found.left.largest("pair")
    assert place.path == (1,)
    assert found.positions_left(place) == ((3, 4), (60, 61))


def test_a_tuple_of_some_other_class_is_looked_into():
    class Pair(tuple):
        __slots__ = ()

    value = Pair(([1], [*range(100)]))
    found = engine({"pair": value}, lambda pair: type(pair) is Pair and 70 in pair[1])
    assert type(found.values["pair"]) is Pair and found.values["pair"] == ([], [70])


ROWS = [{"a": 1, "b": 1}, {"a": 0, "b": 2}]
FULL = pd.DataFrame({"a": [1, 0, 2], "b": list("xyz")})


@pytest.mark.parametrize(
    ("value", "fails", "complete"),
    [
        (FULL, lambda x: 0 in [*x.a], FULL.iloc[1:2]),
        ({"a": 0, "b": 1}, lambda x: x["a"] == 0, {"a": 0, "b": 1}),
        ((0, "b", [1]), lambda x: x[0] == 0, (0, "b", [1])),
        (ROWS, lambda x: any(r["a"] == 0 for r in x), ROWS[1:]),
        ({n: n for n in range(99)}, lambda x: 7 in x.values(), {7: 7}),
    ],
    ids=["frame", "dict", "tuple", "rows", "many keys"],
)
def test_what_is_complete_has_the_names_that_it_is_asked_by(value, fails, complete):
    def alike(x):
        try:
            return fails(x)
        except (LookupError, AttributeError):
            return False

    found = with_names(engine({"x": value}, alike))["x"]
    assert repr(found) == repr(complete)


@pytest.mark.parametrize(
    "value", [{"a": 0}, ("a", 0), [["a"], [0]], [*"bcda0"]], ids=repr
)
def test_nothing_comes_back_where_nothing_of_that_kind_was_left_out(value):
    made = engine({"x": value}, lambda x: "0" in str(x) and "a" in str(x))
    assert with_names(made)["x"] is made.values["x"]
