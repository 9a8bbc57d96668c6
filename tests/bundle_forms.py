"""A program that writes calls of every form that fail, each into a file of its own.

``python bundle_forms.py FOLDER`` prints a line of JSON: for each form how it fails,
whether bytecode was needed, and which modules.
"""

from __future__ import annotations

import abc
import asyncio
import collections
import dataclasses
import enum
import functools
import json
import sys
import traceback
import typing
import zipfile
from pathlib import Path

T = typing.TypeVar("T")


def plain(x):
    return 1 / x  # plain


def wrapping(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)

    return inner


@wrapping
def decorated(x):
    return 2 / x  # decorated


def making(n):
    calls = 0

    def inner(x):
        nonlocal calls
        calls += 1
        return n / x  # closure

    return inner


def recursive(n):
    def inner(x):
        return n / x if x == 0 else inner(x - 1)  # recursive

    return inner


class Base:
    def weigh(self, x):
        return self.weight / x  # base


class Model(Base):
    factor = 3
    again = functools.partialmethod(Base.weigh, 0)

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def __call__(self, x):
        return super().weigh(x)

    def method(self, x):
        return self.weight / x  # method

    @staticmethod
    def static(x):
        return 4 / x  # static

    @classmethod
    def of_class(cls, x):
        return cls.factor / x  # of_class

    @property
    def ratio(self):
        return self.weight / 0  # property

    @functools.cached_property
    def cached(self):
        return self.weight / 0  # cached

    class Inner:
        def fail(self, x):
            return 6 / x  # inner class


class Slotted:
    __slots__ = ("weight",)

    def __init__(self, weight):
        self.weight = weight

    def fail(self, x):
        return self.weight / x  # slotted


class Abstract(abc.ABC):
    @abc.abstractmethod
    def fail(self, x): ...


class Concrete(Abstract):
    def fail(self, x):
        return 5 / x  # abstract


class Generic(typing.Generic[T]):
    def fail(self, x: T) -> T:
        return 5 / x  # generic


class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    def fail(self, x):
        return self.value / x  # enum


class Flags(enum.IntFlag):
    A = 1
    B = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2
    tags: list = dataclasses.field(default_factory=list)
    hidden: int = dataclasses.field(default=0, repr=False, compare=False)
    made: dataclasses.InitVar[int] = 5
    shared: typing.ClassVar[int] = 7

    def __post_init__(self, made):
        self.made_of = made

    def fail(self, x):
        assert Point(1) == Point(1) and Point(1) != Point(3)
        assert Point(1).tags == [] and repr(Point(1)) == "Point(x=1, y=2, tags=[])"
        assert [each.name for each in dataclasses.fields(self)][:2] == ["x", "y"]
        assert dataclasses.replace(self, x=9, made=1).x == 9
        return self.y / x  # dataclass


@dataclasses.dataclass(frozen=True, order=True)
class Frozen:
    x: int

    def fail(self, x):
        assert Frozen(1) < Frozen(2) and hash(Frozen(1)) == hash(Frozen(1))
        try:
            self.x = 3
        except dataclasses.FrozenInstanceError:
            return self.x / x  # frozen


@dataclasses.dataclass
class Derived(Point):
    z: int = 3

    def fail(self, x):
        assert repr(Derived(1, z=4)) == "Derived(x=1, y=2, tags=[], z=4)"
        return super().fail(x)


@dataclasses.dataclass(slots=True, kw_only=True)
class Tight:
    x: int
    of: list = dataclasses.field(default_factory=lambda: [1])

    def fail(self, x):
        assert repr(Tight(x=2)) == "Tight(x=2, of=[1])"
        return self.x / x  # tight


class Options(typing.TypedDict, total=False):
    rate: float


class Failing(typing.Protocol):
    def fail(self, x): ...


class Triple(collections.namedtuple("Triple", "a b c")):
    __slots__ = ()

    def fail(self, x):
        return self.a / x  # triple


def of_types(options: Options, failing: Failing, x):
    assert Options(rate=1) == options
    return failing.fail(x)


Pair = collections.namedtuple("Pair", "first second", defaults=[4])


class Row(typing.NamedTuple):
    first: int
    second: int = 2

    def fail(self, x):
        return self._replace(first=8).first / x  # named tuple


class Trouble(Exception):
    def __init__(self, what, more):
        super().__init__(what)
        self.more = more


def raising(x):
    raise Trouble(f"no {x}", more=[x])  # raising


def caused(x):
    try:
        plain(x)
    except ZeroDivisionError as error:
        raise ValueError("caused") from error  # caused


def helper(x):
    return 5 / x  # helper


def helped(x):
    return helper(x)


def generator(x):
    return sum(6 / each for each in [x])  # generator


def generating(x):
    yield 1
    yield 6 / x  # generating


def generated(x):
    return list(generating(x))


def comprehension(x):
    return [7 / each for each in [x]]  # comprehension


def nested_comprehension(x):
    n = 3
    return {a: [n / b for b in range(a)] for a in [x + 1]}  # nested


def with_default(x, make=lambda: 9):
    return make() / x  # default


def keyword(*args, power: int = 2, **rest: typing.Any) -> float:
    (x,) = args
    return power / x  # keyword


def with_finally(x):
    try:
        return (lambda: 1 / x)()  # finally
    finally:
        x = (lambda: 2)()


@functools.lru_cache(maxsize=7)
def with_cache(x):
    return 1 / x  # with a cache


def cached_within(x):
    return with_cache(x)


def walrus(x):
    if (y := x) is not None:
        return 1 / y  # walrus


def matching(x):
    match x:
        case 0:
            return 1 / x  # match


def text(x):
    return f"{1 / x:.2f} {x!r}"  # text


def late_import(x):
    import math

    return math.log(x)  # late import


def indexed(rows):
    return [row["a"] for row in rows]  # KeyError


def of_frame(frame, array):
    return frame["missing"] + array  # frame


def asserting(x):
    assert x > 0, f"x is {x}"  # asserting


first, second = lambda x: 1 / x, lambda x: 1.0 / x  # lambdas
third, fourth = lambda x: 1 / x, lambda x: 1 / x  # alike
many = [lambda x, n=n: n / x for n in range(3)]  # in a list
chosen = (lambda x: (lambda y: 1 / y)(x)) if True else (lambda x: 2 / x)  # within


async def coroutine(x):
    return 8 / x  # coroutine


def running(x):
    return asyncio.run(coroutine(x))


def of_pair(pair, x):
    return pair._replace(second=1).first / x  # pair


def of_flags(flags, x):
    assert flags | Flags.B == Flags.A | Flags.B
    return flags / x  # flags


def annotated(x: Model, y: list[Model] = ()) -> Model:
    return 1 / x  # annotated


space: dict = {"__name__": "__main__"}
exec("def executed(x):\n    return 1 / x\n", space)

FORMS: dict = {
    **{
        function.__name__: (function, 0)
        for function in (
            *(plain, decorated, raising, caused, helped, generator, generated),
            *(comprehension, nested_comprehension, with_default, keyword),
            *(with_finally, walrus, matching, text, late_import, asserting, running),
            *(annotated, cached_within),
        )
    },
    "closure": (making(3), 0),
    "with a cache": (with_cache, 0),
    "recursive": (recursive(3), 2),
    "called": (Model(1), 0),
    "method": (Model(2).method, 0),
    "inherited": (Model(2).weigh, 0),
    "partialmethod": (Model(2).again,),
    "static": (Model.static, 0),
    "of_class": (Model.of_class, 0),
    "property": (lambda model: model.ratio, Model(3)),
    "cached": (lambda model: model.cached, Model(3)),
    "inner class": (Model.Inner().fail, 0),
    "slotted": (Slotted(1).fail, 0),
    "abstract": (Concrete().fail, 0),
    "generic": (Generic().fail, 0),
    "enum": (Colour.BLUE.fail, 0),
    "flags": (of_flags, Flags.A, 0),
    "dataclass": (Point(1, 2).fail, 0),
    "frozen": (Frozen(1).fail, 0),
    "derived": (Derived(1).fail, 0),
    "tight": (Tight(x=1).fail, 0),
    "triple": (Triple(1, 2, 3).fail, 0),
    "types": (of_types, {"rate": 1}, Model.Inner(), 0),
    "pair": (of_pair, Pair(1), 0),
    "named tuple": (Row(1).fail, 0),
    "lambdas": (second, 0),
    "alike": (fourth, 0),
    "many": (many[2], 0),
    "chosen": (chosen, 0),
    "partial": (functools.partial(lambda y, x: y / x, 9), 0),
    "indexed": (indexed, [{"a": n} for n in range(200)] + [{"b": 1}]),
    "executed": (space["executed"], 0),
}


def how_it_fails(function, args, kwargs):
    """The exception's class and text, and the innermost line that has a text."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        lines = [each.line for each in traceback.extract_tb(error.__traceback__)]
        numbers = [each.lineno for each in traceback.extract_tb(error.__traceback__)]
        return [type(error).__name__, str(error), lines[-1], numbers[-1]]
    return ["passed"]


def frames():
    import numpy
    import pandas

    frame = pandas.DataFrame({"a": [1.5, None], "b": ["x", None]})
    return (of_frame, frame, numpy.arange(3.0))


def main(folder):
    from dbgkit.bundles.calls import write_call

    found = {}
    FORMS["frame"] = frames()
    for name, (function, *args) in FORMS.items():
        with zipfile.ZipFile(Path(folder, f"{name}.zip"), "w") as archive:
            written = write_call(archive, function, tuple(args), {})
        fails = how_it_fails(function, args, {})
        found[name] = [fails, written.bytecode, list(written.modules)]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
