"""Unpickling by `Reading`: no class of this process changes, and code can be placed."""

from __future__ import annotations

import abc
import dataclasses
import enum
import gc
import io
import pickle
import sys
import threading
import typing

import cloudpickle
import pytest
from cloudpickle import cloudpickle as inner

from dbgkit.remote.common.unpickling import Reading

CLASSES = """
class Base:
    def who(self):
        return "base"

class Model(Base):
    limit = 3
    def predict(self, x):
        return super().who(), 1 / x
    @property
    def ratio(self):
        return 1

class Slotted(Base):
    __slots__ = ("value",)
    def get(self):
        return 1

@dataclasses.dataclass
class Point:
    x: int
    tags: list = dataclasses.field(default_factory=list)

class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    def label(self):
        return self.name

class Abstract(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

class Square(Abstract):
    def area(self):
        return 1

T = typing.TypeVar("T")

class Box(typing.Generic[T]):
    def open(self):
        return 1
"""


@pytest.fixture
def own():
    """Classes that cloudpickle pickles by value, as those of ``__main__``."""
    modules = {"dataclasses": dataclasses, "enum": enum, "abc": abc, "typing": typing}
    space = {"__name__": "__main__", **modules}
    exec(compile(CLASSES, "classes.py", "exec"), space)
    return space


def values_of(own):
    return [
        own["Model"](),
        own["Slotted"](),
        own["Point"](1),
        own["Colour"].RED,
        own["Square"](),
        own["Box"](),
    ]


def test_classes_that_are_as_they_were_are_those_of_this_process(own):
    values = values_of(own)
    reading = Reading()
    read = reading.loads(cloudpickle.dumps(values))
    assert [type(one) is type(two) for one, two in zip(read, values, strict=True)] == [
        True
    ] * len(values)
    assert read[3] is own["Colour"].RED
    assert not reading.edited


EDITS = {
    "a method": ("Model", lambda cls: setattr(cls, "predict", lambda self, x: 0)),
    "a property": ("Model", lambda cls: setattr(cls, "ratio", property(len))),
    "an attribute": ("Model", lambda cls: setattr(cls, "limit", 4)),
    "a new method": ("Model", lambda cls: setattr(cls, "more", lambda self: 0)),
    "a method less": ("Model", lambda cls: delattr(cls, "predict")),
    "of a class with slots": ("Slotted", lambda cls: setattr(cls, "get", len)),
    "of a dataclass": ("Point", lambda cls: setattr(cls, "__repr__", lambda self: "")),
    "of an enumeration": ("Colour", lambda cls: setattr(cls, "label", len)),
    "of a generic class": ("Box", lambda cls: setattr(cls, "open", lambda self: 2)),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_class_keeps_what_it_has(own, name):
    which, edit = EDITS[name]
    data = cloudpickle.dumps(values_of(own))
    edit(own[which])
    before = dict(vars(own[which]))
    reading = Reading()
    read = reading.loads(data)
    now = {key: value for key, value in vars(own[which]).items() if key in before}
    assert now == before
    assert which in reading.edited
    assert own[which] not in map(type, read)


ANEW = """
class Model:
    limit = {limit}
    def predict(self, x):
        return {value} / x
    @classmethod
    def made(cls):
        return cls()
"""


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        (ANEW.format(limit=3, value=1), False),
        ("\n\n" + ANEW.format(limit=3, value=1), False),
        (ANEW.format(limit=3, value=2), True),
        (ANEW.format(limit=3, value=1.0), True),
        (ANEW.format(limit=3, value=1) + "    def more(self): ...\n", True),
        (ANEW.format(limit=3, value=1).replace("@class", "@static"), True),
        ("def Model(): ...", False),
        ("class Other: ...", False),
    ],
)
def test_a_class_that_was_defined_anew_is_told_if_its_code_differs(
    monkeypatch, text, edited
):
    def defined(text):
        space = {"__name__": "__main__"}
        exec(compile(text, "classes.py", "exec"), space)
        return space

    before = defined(ANEW.format(limit=3, value=1))["Model"]
    data = cloudpickle.dumps(before())
    main = sys.modules["__main__"]
    for name, value in defined(text).items():
        if name in ("Model", "Other"):
            monkeypatch.setattr(main, name, value, raising=False)
    reading = Reading()
    read = reading.loads(data)
    assert type(read) is before
    assert read.predict(1) == 1
    assert list(reading.edited) == (["Model"] if edited else [])


def test_what_was_pickled_does_what_it_did(own):
    data = cloudpickle.dumps(own["Model"]())
    own["Model"].predict = lambda self, x: 0
    read = Reading().loads(data)
    assert read.predict(2) == ("base", 0.5)
    assert own["Model"]().predict(2) == 0


def test_what_comes_of_an_edited_class_goes_with_it(own):
    data = cloudpickle.dumps([own["Model"](), own["Square"]()])
    own["Base"].who = lambda self: "edited"
    read = Reading().loads(data)
    assert read[0].predict(1) == ("base", 1.0)
    assert type(read[0]) is not own["Model"]
    assert type(read[1]) is own["Square"]


def test_all_that_one_reading_reads_has_one_class(own):
    model, function = own["Model"](), eval("lambda m: isinstance(m, Model)", own)
    data = cloudpickle.dumps(model), cloudpickle.dumps(function)
    own["Model"].predict = len
    reading = Reading()
    read, asks = (reading.loads(each) for each in data)
    assert asks(read)
    copied = reading.loads(cloudpickle.dumps(read))
    assert asks(copied)


def test_an_enumeration_with_another_member_is_another(own):
    data = cloudpickle.dumps(own["Colour"].RED)
    tracker = inner._DYNAMIC_CLASS_TRACKER_BY_CLASS[own["Colour"]]
    other = enum.Enum("Colour", {"RED": 5})
    inner._DYNAMIC_CLASS_TRACKER_BY_CLASS[other] = tracker
    inner._DYNAMIC_CLASS_TRACKER_BY_ID[tracker] = other
    assert Reading().loads(data).value == 1
    assert other.RED.value == 5


def test_cloudpickle_knows_no_more_than_before(own):
    data = cloudpickle.dumps(values_of(own))
    known = dict(inner._DYNAMIC_CLASS_TRACKER_BY_ID)
    for name in ("Model", "Box"):
        own[name].added = lambda self: 0
    reading = Reading()
    read = reading.loads(data)
    assert dict(inner._DYNAMIC_CLASS_TRACKER_BY_ID) == known
    del read, reading
    gc.collect()
    assert set(inner._DYNAMIC_CLASS_TRACKER_BY_CLASS) <= set(known.values())


def test_a_class_that_nobody_knows_here_keeps_its_id(own):
    data = cloudpickle.dumps(own["Model"]())
    tracker = inner._DYNAMIC_CLASS_TRACKER_BY_CLASS[own["Model"]]
    own.clear()
    gc.collect()
    assert tracker not in inner._DYNAMIC_CLASS_TRACKER_BY_ID
    read = Reading().loads(data)
    assert tracker.encode() in cloudpickle.dumps(read)
    assert tracker not in inner._DYNAMIC_CLASS_TRACKER_BY_ID


def test_code_is_placed_with_the_globals_that_came_along(own):
    placed = []

    def place(code, namespace):
        placed.append((code.co_name, namespace["__name__"]))
        return code.replace(co_filename="placed.py")

    read = Reading(place).loads(cloudpickle.dumps(eval("lambda x: 1 / x", own)))
    assert placed == [("<lambda>", "__main__")]
    assert read.__code__.co_filename == "placed.py"


def test_a_pickle_within_a_pickle_is_read_alike(own):
    class Wrapped:
        def __init__(self, data):
            self.data = data

        def __reduce__(self):
            return pickle.loads, (self.data,)

    data = pickle.dumps(Wrapped(cloudpickle.dumps(own["Model"]())))
    own["Model"].predict = mended = lambda self, x: 0
    Reading().loads(data)
    assert own["Model"].predict is mended


@pytest.mark.parametrize("data", [b"", b"\x80\x05.", b"cnosuch\nname\n.", b"\x80\x05X"])
def test_what_is_no_pickle_raises_what_pickle_raises(data):
    with pytest.raises(BaseException) as theirs:
        pickle.loads(data)
    with pytest.raises(type(theirs.value)):
        Reading().loads(data)


def test_buffers_and_files_are_read(own):
    import numpy as np

    buffers = []
    array = np.arange(5)
    data = pickle.dumps([array], protocol=5, buffer_callback=buffers.append)
    assert Reading().loads(data, buffers=buffers)[0].tolist() == array.tolist()
    file = io.BytesIO(b"header" + cloudpickle.dumps(own["Model"]()))
    file.seek(6)
    own["Model"].predict = len  # read twice, from where it stands
    assert Reading().load(file).predict(1) == ("base", 1.0)


def test_many_small_pickles_are_read_within_one_limit(monkeypatch):
    """Items of a long list come one by one, and a thread for each is slow."""
    from dbgkit.cluster.packed import NeverRead
    from dbgkit.source import Reader, reading

    begun = []

    def noted(*args, **options):
        begun.append(args)
        return threading.Thread(*args, **options)

    monkeypatch.setattr(reading, "Thread", noted)
    reader = Reader(limit=30.0)
    items = [pickle.dumps(number) for number in range(100)]
    read = reader.at_once(lambda: [reader.loads(each) for each in items])
    assert read == [*range(100)] and len(begun) == 1
    released = threading.Event()
    with pytest.raises(NeverRead):
        Reader(limit=0.05).at_once(lambda: released.wait(30))
    released.set()
