"""The walk through a value: one teller a type, and a budget for all.

No method of the user's classes is called: no ``__repr__``, ``__len__``, ``__eq__``,
``__hash__``, ``__getattr__``, ``__class__`` or property, nor any of a metaclass, as
they may lie, fail, or never return. Builtin types are read by the base classes' own
methods, objects by their ``__dict__`` and slots. What is hidden, and how arrays and
frames are described, is handed in (see ``summarize``).
"""

from __future__ import annotations

import collections
import enum
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ..common.objects import (
    class_attribute,
    class_module,
    class_mro,
    class_name,
    instance_dict,
    is_a,
    slots,
)
from ..secrets.names import announced, is_value_of, key_secrecy, named_within
from ..secrets.values import HIDDEN, MARGIN, STRONG, WEAK, set_of


@dataclass(frozen=True)
class Budget:
    """How much a summary may take."""

    seconds: float = 0.03  # after this, what is left is given by its type only
    chars: int = 400  # length of the whole text
    string: int = 200  # length of one text, or bytes, within it
    items: int = 8  # of one container, columns of one frame, attributes of one object
    visits: int = 80  # values in all
    depth: int = 3  # containers within containers
    secret_names: tuple[str, ...] = ()  # to hide besides the usual ones
    secret_values: tuple[str, ...] = ()  # to hide wherever they stand


def _level(name: Any, extra: tuple[str, ...]) -> int:
    if not is_a(type(name), enum.Enum):
        return key_secrecy(name, extra)
    member = instance_dict(name) or {}
    names = [dict.get(member, each) for each in ("_name_", "_value_")]
    return max(key_secrecy(each, extra) for each in names)


class Walker(ABC):
    """Describes one value; counts what that took, and what it left out."""

    @abstractmethod
    def describe(self, value: Any) -> str | None:
        """The text of an array or frame; None of anything else."""

    @abstractmethod
    def hides(self, level: int, value: Any) -> bool:
        """Whether a value is hidden by a name that is so secret."""

    @abstractmethod
    def redacted(self, text: str) -> str:
        """A text with its secrets hidden."""

    @abstractmethod
    def cut_to(self, text: str, limit: int) -> tuple[str, bool]:
        """The beginning of a text, cut once its secrets are hidden; was there more?"""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.deadline = perf_counter() + budget.seconds
        self.visits = 0
        self.cut = False
        self.path: list[int] = []

    def tell(self, value: Any) -> str:
        """The text of a value, and of what is in it."""
        cls = type(value)
        if value is None or value is Ellipsis or value is NotImplemented:
            return repr(value)
        self.visits += 1
        if self.visits > self.budget.visits or perf_counter() > self.deadline:
            if not self.path and _is_short_number(value):
                return repr(value)  # takes no time
            self.cut = True
            return f"<{class_name(cls)}>"
        if id(value) in self.path:
            return "<itself, again>"
        if len(self.path) > self.budget.depth and not _is_leaf(cls):
            self.cut = True
            return _shell(value)
        self.path.append(id(value))
        try:
            return self._tell(value, cls)
        except Exception as error:
            # Whatever a value is, its summary must not fail: another thread may
            # change it meanwhile, and extension types may raise what they like.
            self.cut = True
            return f"<{class_name(cls)}: {class_name(type(error))} on reading>"
        finally:
            self.path.pop()

    def _tell(self, value: Any, cls: type) -> str:
        teller = tellers.get(id(cls))
        if teller is not None:
            return teller(self, value)
        described = self.describe(value)
        if described is not None:
            return described
        bases = class_mro(cls)
        if any(base is enum.Enum for base in bases):  # before the int of an IntEnum
            return _tell_enum(self, value)
        for base in bases:
            teller = tellers.get(id(base))
            if teller is not None:
                return teller(self, value)
        return tell_object(self, value)

    def items(self, values: Iterable[Any], count: int, between: str = ", ") -> str:
        """The first items, and how many more there are."""
        limit = self.budget.items
        names = self.budget.secret_names
        pieces: list[str] = []
        level = 0
        for item in values:
            if len(pieces) >= limit or self.spent():
                break
            pieces.append(HIDDEN if self.hides(level, item) else self.tell(item))
            level = announced(item, count, names)
        return self.join(pieces, count, between)

    def join(self, pieces: list[str], count: int, between: str = ", ") -> str:
        """Pieces, and how many more there would have been."""
        if count > len(pieces):
            self.cut = True
            pieces = [*pieces, f"… {count - len(pieces):,} more"]
        return between.join(pieces)

    def named(self, name: Any, value: Any) -> str:
        """A value under a name, which may hide it."""
        return HIDDEN if self.hides_named(name, value) else self.tell(value)

    def hides_named(self, name: Any, value: Any) -> bool:
        """Whether a value is hidden by its name."""
        return self.hides(_level(name, self.budget.secret_names), value)

    def hidden(self, name: Any, numbers: bool = False) -> bool:
        """Whether a name hides what it names, which may be numbers only."""
        level = key_secrecy(name, self.budget.secret_names)
        return level >= (STRONG if numbers else WEAK)

    def spent(self) -> bool:
        """Whether the time or the number of values is used up."""
        return self.visits >= self.budget.visits or perf_counter() > self.deadline


def _is_short_number(value: Any) -> bool:
    cls = type(value)
    return (cls is bool or cls is int or cls is float) and abs(value) < 1e9


def _is_leaf(cls: type) -> bool:
    """Whether values of a class have nothing within them: described at any depth."""
    bases = class_mro(cls)
    return any(id(base) in leaves or base is enum.Enum for base in bases) or any(
        class_name(base) == "generic" and class_module(base) == "numpy"
        for base in bases
    )


_Teller = Callable[[Walker, Any], str]
# By the id of the class, as the hash of a class is its metaclass' affair.
tellers: dict[int, _Teller] = {}
leaves: set[int] = set()  # of these, those whose values have nothing within them


def tells(*kinds: type, leaf: bool = False) -> Callable[[_Teller], _Teller]:
    """Register what describes these classes, and who derives from them."""

    def register(teller: _Teller) -> _Teller:
        tellers.update((id(kind), teller) for kind in kinds)
        leaves.update(id(kind) for kind in kinds if leaf)
        return teller

    return register


def _shell(value: Any) -> str:
    """A value without what is in it."""
    cls = type(value)
    for base, left, right in (
        (list, "[", "]"),
        (tuple, "(", ")"),
        (dict, "{", "}"),
        (set, "{", "}"),
    ):
        if cls is base:
            return f"{left}…{right}" if base.__len__(value) else f"{left}{right}"
    return f"<{class_name(cls)}>"


@tells(int, leaf=True)
def _tell_int(walker: Walker, value: int) -> str:
    bits = int.bit_length(value)
    # Long ones take a time that grows with the square of their length.
    return int.__repr__(value) if bits <= 512 else f"<{bits:,} bits>"


@tells(bool, float, complex, leaf=True)
def _tell_number(walker: Walker, value: Any) -> str:
    kinds: tuple[Any, ...] = (bool, float, complex)
    text: str = next(k for k in kinds if issubclass(type(value), k)).__repr__(value)
    return text


@tells(str, leaf=True)
def _tell_str(walker: Walker, value: str) -> str:
    limit = walker.budget.string if len(walker.path) < 2 else walker.budget.string // 3
    length = str.__len__(value)
    begin = str.__getitem__(value, slice(0, limit + MARGIN + 1))
    if length <= limit:
        # Before it is escaped: what is known by a line's end no longer is then. What is
        # not escaped is looked at with all the rest.
        plain = begin.isprintable() and "'" not in begin and "\\" not in begin
        return repr(begin if plain else walker.redacted(begin))
    walker.cut = True
    return f"{walker.cut_to(begin, limit)[0]!r}… ({length:,} characters)"


@tells(bytes, bytearray, leaf=True)
def _tell_bytes(walker: Walker, value: bytes | bytearray) -> str:
    base: Any = bytearray if issubclass(type(value), bytearray) else bytes
    limit = walker.budget.string // 3
    length = base.__len__(value)
    begin = bytes(base.__getitem__(value, slice(0, limit + MARGIN + 1)))
    if length <= limit:
        return repr(walker.redacted(begin.decode("latin-1")).encode("latin-1"))
    walker.cut = True
    kept, _ = walker.cut_to(begin.decode("latin-1"), limit)
    return f"{kept.encode('latin-1')!r}… ({length:,} bytes)"


@tells(list)
def _tell_list(walker: Walker, value: list[Any]) -> str:
    return f"[{walker.items(list.__iter__(value), list.__len__(value))}]"


@tells(tuple)
def _tell_tuple(walker: Walker, value: tuple[Any, ...]) -> str:
    count = tuple.__len__(value)
    fields = class_attribute(type(value), "_fields")
    if type(fields) is tuple and len(fields) == count and fields:
        pairs = zip(fields, tuple.__iter__(value), strict=False)
        return f"{class_name(type(value))}({_tell_fields(walker, pairs, count)})"
    comma = "," if count == 1 else ""
    return f"({walker.items(tuple.__iter__(value), count)}{comma})"


@tells(set, frozenset)
def _tell_set(walker: Walker, value: set[Any] | frozenset[Any]) -> str:
    base: Any = set if issubclass(type(value), set) else frozenset
    count = base.__len__(value)
    if not count:
        return f"{base.__name__}()"
    text = f"{{{walker.items(base.__iter__(value), count)}}}"
    return text if base is set else f"frozenset({text})"


@tells(collections.deque)
def _tell_deque(walker: Walker, value: collections.deque[Any]) -> str:
    items = collections.deque.__iter__(value)
    return f"deque([{walker.items(items, collections.deque.__len__(value))}])"


@tells(dict)
def _tell_dict(walker: Walker, value: dict[Any, Any]) -> str:
    pieces: list[str] = []
    secret = named_within(dict.items(value), walker.budget.secret_names)
    for name, item in dict.items(value):
        if len(pieces) >= walker.budget.items or walker.spent():
            break
        hide = is_value_of(name) and walker.hides(secret, item)
        text = HIDDEN if hide else walker.named(name, item)
        pieces.append(f"{walker.tell(name)}: {text}")
    return f"{{{walker.join(pieces, dict.__len__(value))}}}"


def _tell_enum(walker: Walker, value: enum.Enum) -> str:
    name = (instance_dict(value) or {}).get("_name_")
    return f"{class_name(type(value))}.{name if type(name) is str else '?'}"


def tell_object(walker: Walker, value: Any) -> str:
    """An object by its attributes, read past its class."""
    cls = type(value)
    module = class_module(cls)
    if cls is object or (type(module) is str and module in _OPAQUE):
        return f"<{class_name(cls)}>"
    found = list(slots(value, walker.budget.items + 1))
    attributes = instance_dict(value)
    count = len(found) + (dict.__len__(attributes) if attributes is not None else 0)
    if not count:
        return f"<{class_name(cls)}>"
    held = dict.items(attributes) if attributes is not None else ()
    pairs = itertools.chain(found, held)
    return f"{class_name(cls)}({_tell_fields(walker, pairs, count)})"


# Locks, threads, sockets, and what belongs to Dask: what is in them helps nobody.
_OPAQUE = set_of(
    "_thread threading asyncio.events asyncio.base_events socket queue "
    "concurrent.futures.thread logging distributed.client distributed.worker "
    "distributed.scheduler distributed.nanny distributed.deploy.local"
)


def _tell_fields(walker: Walker, pairs: Iterable[tuple[Any, Any]], count: int) -> str:
    pieces: list[str] = []
    shown = list(itertools.islice(pairs, walker.budget.items))
    secret = named_within(shown, walker.budget.secret_names)
    for name, item in shown:
        if walker.spent():
            break
        text = name[:60] if type(name) is str else _shell(name)
        hide = is_value_of(name) and walker.hides(secret, item)
        pieces.append(f"{text}={HIDDEN if hide else walker.named(name, item)}")
    return walker.join(pieces, count)
