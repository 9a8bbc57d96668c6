"""Unpickling that changes no class of this process, and can place code in its file.

cloudpickle gives each class that it pickles by value an id. Unpickling it in a
process that knows the id gives that process's class, and *sets its attributes back* to
what they were (``_make_skeleton_class`` and ``_class_setstate`` in
cloudpickle/cloudpickle.py): a method that was fixed since is broken again. Here, a
class of this process is used if it is unchanged since it was pickled; otherwise a
private one is made.
"""

from __future__ import annotations

import io
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from types import CodeType, FunctionType
from typing import Any, BinaryIO

from .codes import identity

Place = Callable[[CodeType, "dict[str, Any]"], CodeType]

_HOME = "cloudpickle.cloudpickle"  # joblib has a copy of it, below a name of its own
_UNPICKLERS = ("pickle", "_pickle", "cloudpickle", "cloudpickle.cloudpickle")
# What Python, or `setattr` on the way, makes anew of each class.
_PASSED_OVER = frozenset(
    {
        "__dict__",
        "__weakref__",
        "__module__",
        "__doc__",
        "__qualname__",
        "__firstlineno__",
        "__static_attributes__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__abstractmethods__",
        "__slots__",
        "_abc_impl",
    }
)
_PARTS_OF = {
    property: ("fget", "fset", "fdel"),
    classmethod: ("__func__",),
    staticmethod: ("__func__",),
    cached_property: ("func",),
}
_DEEP = 10


class Reading:
    """Unpickles what belongs together: one class is one object in all of it.

    ``place``, given each function's code and the globals that travelled with it, gives
    the code to use.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place
        # Classes of this process that are no longer what was pickled, by name.
        self.edited: dict[str, type] = {}
        self._ours: dict[Any, Any] = {}  # classes that nobody else knows, by key
        self._filled: set[Any] = set()  # of these, which have their attributes
        self._parted: set[Any] = set()  # keys of classes that have changed here
        self._again = False
        self._lock = threading.RLock()

    def loads(self, data: Any, *, buffers: Iterable[Any] = ()) -> Any:
        """What ``pickle.loads`` gives, with the same errors."""
        return self.load(io.BytesIO(data), buffers=buffers)

    def at_once(self, read: Callable[[], Any], seconds: float = 0.0) -> Any:
        """What ``read`` gives, which calls `loads` often: see ``source.Reader``."""
        return read()

    def load(self, file: BinaryIO, *, buffers: Iterable[Any] = ()) -> Any:
        """What ``pickle.load`` gives; the file can be read from where it stands."""
        kept = list(buffers)
        start = file.tell()
        with self._lock:
            while True:
                before, self._again = set(self._ours), False
                file.seek(start)
                unpickler = _Unpickler(file, buffers=kept)
                unpickler.reading = self
                value = unpickler.load()
                if not self._again:
                    return value
                # What was made meanwhile may hold a class that is now parted with.
                for key in self._ours.keys() - before:
                    del self._ours[key]
                    self._filled.discard(key)

    def persistent_load(self, which: Any) -> Any:
        """What a pickle only refers to; there is nothing of the kind in Dask's."""
        raise pickle.UnpicklingError(f"the pickle refers to {which!r:.80}")

    def instead(self, module: str, name: str, own: Callable[..., Any]) -> Any:
        """What to call in place of a function of cloudpickle, if not itself."""
        function = _INSTEAD.get(name)
        return own if function is None else partial(function, self, module, own)

    def make_function(
        self,
        module: str,
        own: Callable[..., Any],
        code: Any,
        namespace: Any,
        *rest: Any,
    ) -> Any:
        """For ``_make_function(code, globals, name, argdefs, closure)``."""
        if self.place is not None and isinstance(code, CodeType):
            code = self.place(code, namespace)
        return own(code, namespace, *rest)

    def make_class(self, module: str, own: Callable[..., Any], *args: Any) -> Any:
        """For ``_make_skeleton_class(type, name, bases, kwargs, tracker, extra)``."""
        *given, tracker, extra = args
        return self._class((module, tracker), given[2], partial(own, *given), extra)

    def make_enum(self, module: str, own: Callable[..., Any], *args: Any) -> Any:
        """For ``_make_skeleton_enum(bases, name, …, members, …, tracker, extra)``."""
        *given, tracker, extra = args
        key = (module, tracker)
        known = _known(key)
        if known is not None and not _has_members(known, given[3]):
            self._part_with(key, known)
        return self._class(key, given[0], partial(own, *given), extra)

    def make_typevar(self, module: str, own: Callable[..., Any], *args: Any) -> Any:
        """For ``_make_typevar(…, tracker)``: it has nothing that could change."""
        *given, tracker = args
        known = _known((module, tracker))
        return own(*given, None) if known is None else known

    def set_state(
        self, module: str, own: Callable[..., Any], made: Any, state: Any
    ) -> Any:
        """For ``_class_setstate(class, (attributes, slots))``."""
        anew = _defined_anew(made)
        if anew is not None and _code_differs(anew, state[0]):
            self.edited.setdefault(made.__qualname__, anew)
        for key, ours in self._ours.items():
            if ours is made:
                if key not in self._filled:
                    self._filled.add(key)
                    own(made, state)
                return made
        key = _key_of(module, made)
        if key is None:  # it has no id, so that it was made just now
            return own(made, state)
        same = _is_as(made, state[0])
        if same:
            self._heal(made)
        else:
            self._again = True
            if same is None:
                self._parted.add(key)
            else:
                self._part_with(key, made)
        return made

    def _heal(self, made: Any) -> None:
        """Put methods of a class of this process back into their file.

        A scheduler in this process has unpickled the class, and cloudpickle has given
        it methods whose code has no file any more. They stay the same objects.
        """
        if self.place is None:
            return
        waiting = list(vars(made).values())
        while waiting:
            value = waiting.pop()
            waiting.extend(getattr(value, n) for n in _PARTS_OF.get(type(value), ()))
            if isinstance(value, FunctionType):
                code = self.place(value.__code__, value.__globals__)
                if code is not value.__code__:
                    value.__code__ = code

    def _class(self, key: Any, bases: Any, make: Callable[..., Any], extra: Any) -> Any:
        if key[1] is None:
            return make(None, extra)
        if key in self._ours:
            return self._ours[key]
        known = _known(key)
        # What comes of one of ours is ours as well.
        apart = any(base is ours for base in bases for ours in self._ours.values())
        if known is not None and key not in self._parted and not apart:
            return known
        made = self._ours[key] = make(None, extra)
        if known is None:
            # Pickled again it keeps its id; the id leads to it nowhere else.
            _trackers(key[0])[1][made] = key[1]
        return made

    def _part_with(self, key: Any, known: Any) -> None:
        self._parted.add(key)
        self.edited[known.__qualname__] = known


_INSTEAD: Mapping[str, Callable[..., Any]] = {
    "_make_function": Reading.make_function,
    "_make_skeleton_class": Reading.make_class,
    "_make_skeleton_enum": Reading.make_enum,
    "_make_typevar": Reading.make_typevar,
    "_class_setstate": Reading.set_state,
}


class _Unpickler(pickle.Unpickler):
    reading: Reading

    def persistent_load(self, which: Any) -> Any:
        return self.reading.persistent_load(which)

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module.endswith(_HOME):
            return self.reading.instead(module, name, found)
        if name == "loads" and module in _UNPICKLERS:
            return self.reading.loads
        return found


def _trackers(module: str) -> tuple[Any, Any]:
    """cloudpickle's classes by id, and ids by class; both hold the classes weakly."""
    home = sys.modules[module]
    return home._DYNAMIC_CLASS_TRACKER_BY_ID, home._DYNAMIC_CLASS_TRACKER_BY_CLASS


def _known(key: Any) -> Any:
    """The class of this process that cloudpickle knows by an id, or None."""
    module, tracker = key
    return None if tracker is None else _trackers(module)[0].get(tracker)


def _key_of(module: str, made: Any) -> Any:
    tracker = _trackers(module)[1].get(made)
    return None if tracker is None else (module, tracker)


def _has_members(known: Any, members: Mapping[str, Any]) -> bool:
    """Whether an enumeration has just these members."""
    own = {name: member._value_ for name, member in known.__members__.items()}
    return _same(own, dict(members)) is True


def _defined_anew(made: Any) -> Any:
    """The class that has the name of one by now, if that is another one."""
    found: Any = sys.modules.get(made.__module__)
    for name in made.__qualname__.split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type) and found is not made else None


def _code_differs(now: Any, attributes: Mapping[str, Any]) -> bool:
    """Whether a class does something else than pickled attributes, wherever it stands.

    What cannot be compared is taken for equal.
    """
    return _methods(vars(now)) != _methods(attributes)


def _methods(attributes: Mapping[str, Any]) -> dict[str, list[Any]]:
    codes = {name: _codes_of(value) for name, value in attributes.items()}
    return {name: found for name, found in codes.items() if found}


def _codes_of(value: Any) -> list[Any]:
    """What the functions of a method, or of a property, are and do."""
    if isinstance(value, FunctionType):
        return [identity(value.__code__, lines=False)]
    parts = _PARTS_OF.get(type(value), ())
    found = [one for part in parts for one in _codes_of(getattr(value, part))]
    return [type(value), *found] if found else []


def _is_as(made: Any, attributes: Mapping[str, Any]) -> bool | None:
    """Whether a class is what its pickled attributes say; None: unknown."""
    own = vars(made)
    verdict: bool | None = True
    for name, value in attributes.items():
        if name in _PASSED_OVER:
            continue
        if name not in own:
            if _is_written(made, name, value):
                return False
            continue
        same = _same(own[name], value)
        if same is False:
            return False
        verdict = verdict if same else None
    added = own.keys() - attributes.keys() - _PASSED_OVER
    if any(_is_written(made, name, own[name]) for name in added):
        return False
    return verdict


def _is_written(made: Any, name: str, value: Any) -> bool:
    """Whether somebody has given a class this attribute, not Python or a base."""
    if name.startswith("_abc_") or hasattr(value, "__objclass__"):
        return False
    inherited = (vars(base)[name] for base in made.__mro__[1:] if name in vars(base))
    if any(_same(each, value) for each in inherited):
        return False
    return isinstance(value, (FunctionType, *_PARTS_OF)) or not name.startswith("_")


def _same(one: Any, other: Any, depth: int = 0) -> bool | None:
    """Whether two values do and hold the same; None: unknown."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if depth > _DEEP:
        return None
    if kind is FunctionType:
        if identity(one.__code__) != identity(other.__code__):
            return False
        return _all_same(zip(_held(one), _held(other), strict=False), depth)
    if kind in _PARTS_OF:
        pairs = [(getattr(one, n), getattr(other, n)) for n in _PARTS_OF[kind]]
        return _all_same(pairs, depth)
    if kind in (int, str, bytes, bool, float, complex):
        return repr(one) == repr(other)
    if kind in (list, tuple):
        if len(one) != len(other):
            return False
        return _all_same(zip(one, other, strict=True), depth)
    if kind is dict:
        if one.keys() != other.keys():
            return False
        return _all_same([(one[key], other[key]) for key in one], depth)
    return _pickles_alike(one, other)


def _held(function: FunctionType) -> list[Any]:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # it is empty as yet
            cells.append(None)
    return [function.__defaults__, function.__kwdefaults__, *cells]


def _all_same(pairs: Iterable[tuple[Any, Any]], depth: int) -> bool | None:
    verdict: bool | None = True
    for one, other in pairs:
        same = _same(one, other, depth + 1)
        if same is False:
            return False
        verdict = verdict if same else None
    return verdict


def _pickles_alike(one: Any, other: Any) -> bool | None:
    import cloudpickle

    try:
        return True if cloudpickle.dumps(one) == cloudpickle.dumps(other) else None
    except Exception:  # pickling runs anybody's code, and no answer is an answer
        return None


def pickle_alike(one: Any, other: Any, loads: Callable[[bytes], Any]) -> bool:
    """Whether two values pickle alike; True where that is unknown."""
    from distributed.protocol.pickle import dumps

    try:
        # A round trip first: a copy's pickle shares other parts than an original's.
        copies = [loads(dumps(value)) for value in (one, other)]
        return bool(dumps(copies[0]) == dumps(copies[1]))
    except Exception:  # pickling runs anybody's code, and no answer is an answer
        return True
