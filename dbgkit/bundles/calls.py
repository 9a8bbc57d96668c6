"""The call that failed: a pickle whose code is text, and whose data is stored apart."""

from __future__ import annotations

import marshal
import os
import pickle
import sys
import tempfile
import zipfile
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import cloudpickle

from dbgkit.bundles.classes import text_of_class, with_text
from dbgkit.bundles.codes import (
    MAGIC,
    Source,
    Sources,
    read_bytecode,
    read_code,
    read_source,
    traits_of,
)
from dbgkit.bundles.entries import OpenEntry, read_whole, writing
from dbgkit.bundles.generated import reduce_generated, without_generated
from dbgkit.bundles.literals import has_secret, secret_globals
from dbgkit.bundles.manifest import CALL, EntryForm
from dbgkit.bundles.values import Plan, Stored, ValueWriter, is_data, read_value
from dbgkit.bundles.values_npy import is_array
from dbgkit.errors import BundleUnreadable
from dbgkit.remote.common.objects import module_of
from dbgkit.source import Index, Reader

_PROTOCOL = 5  # of every Python that is supported
_SMALL = 1_000  # bytes, roughly, up to which a container stays in the pickle
_MOST_ENTRIES = 500  # of a bundle, which may have no more than 1,000
_HELD = 16_000_000  # bytes of the pickle that are held in memory as it grows
_BLOCK = 1 << 20
# Their packages come with dbgkit, or with Python.
_OWN = frozenset({"__main__", "__mp_main__", "builtins", "cloudpickle", "dbgkit"})
_STANDARD = frozenset(sys.stdlib_module_names)
_PACKAGES_OF = {"npy": ("numpy",), "arrow": ("numpy", "pandas", "pyarrow"), "json": ()}


class WrittenCall(NamedTuple):
    """What was written of a call.

    ``entries`` are those of the archive; ``stored`` says where a value is that was
    stored apart, by its ``id``; ``bytecode``: some code had no text, so that only this
    minor version of Python can read it; ``modules`` are the packages that reading it
    imports; ``secrets`` say where the code has what looks like one.
    """

    entries: dict[str, EntryForm]
    stored: dict[int, Stored]
    bytecode: bool
    modules: tuple[str, ...]
    secrets: tuple[str, ...]


def write_call(
    archive: zipfile.ZipFile,
    function: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    index: Index | None = None,
) -> WrittenCall:
    """Write a function and its arguments as they are now.

    What cannot be pickled raises what pickling it raises; the archive is as before.
    """
    values = ValueWriter(archive)
    apart = _Apart(values, [*args, *kwargs.values()])
    index = index or Index()
    while True:
        with tempfile.SpooledTemporaryFile(max_size=_HELD) as file:
            pickler = _Pickler(file, apart, Sources(index))
            pickler.dump((function, args, kwargs))
            if apart.parted():
                continue
            # Only now: of what cannot be pickled, nothing is in the archive.
            apart.write()
            file.seek(0)
            with writing(archive, CALL, values.entries) as entry:
                while block := file.read(_BLOCK):
                    entry.write(block)
        break
    modules = set(pickler.modules)
    for stored in apart.stored.values():
        modules.update(_PACKAGES_OF[stored.format])
    return WrittenCall(
        values.entries,
        apart.stored,
        pickler.bytecode,
        tuple(sorted(modules)),
        tuple(sorted(pickler.secrets)),
    )


class _Apart:
    """What is stored apart from the pickle: arrays, tables, and large containers."""

    def __init__(self, values: ValueWriter, arguments: list[Any]) -> None:
        self._values = values
        self.stored: dict[int, Stored] = {}
        self._plans: dict[int, Plan | None] = {}  # by the id of a value
        self._held: list[Any] = []  # ids are of what is alive
        self._whole: dict[int, set[int]] = {}  # containers, and what is in them
        self._met: set[int] = set()  # ids of containers that the pickle has, too
        self._arguments = set(map(id, arguments))
        for value in arguments:
            self._offer(value)
        self._drop_shared()

    def _offer(self, value: Any) -> None:
        if type(value) in _CONTAINERS and id(value) not in self._plans:
            parts = _parts(value)
            plan = None if parts is None else self._values.plan(value)
            if parts is not None and plan is not None and plan.writer.size > _SMALL:
                self._plans[id(value)] = plan
                self._whole[id(value)] = parts

    def _drop_shared(self) -> None:
        """Leave containers in the pickle that have a list, say, in common."""
        seen: dict[int, int] = {}
        for which, parts in list(self._whole.items()):
            for part in parts:
                if part in self._whole:
                    self._part({which})
                other = seen.setdefault(part, which)
                if other != which:
                    self._part({which, other})

    def _part(self, found: set[int]) -> None:
        for which in found & self._whole.keys():
            del self._whole[which]
            self._plans[which] = None

    def place(self, value: Any) -> str | None:
        """The entry that a value is in; None: it goes into the pickle."""
        which = id(value)
        if which not in self._plans:
            if type(value) in _BUILTIN:
                if type(value) in _MUTABLE:
                    self._met.add(which)
                return None
            if not is_data(value) or self._stays(value):
                return None
            self._held.append(value)
            self._plans[which] = self._values.plan(value)
        plan = self._plans[which]
        if plan is None:
            self._met.add(which)
            return None
        return plan.entry

    def _stays(self, value: Any) -> bool:
        """Whether data within an argument is too small, or one too many, for an entry.

        Small tables have entries: their pickles are of one major version of pandas.
        """
        if id(value) in self._arguments:
            return False
        small = is_array(value) and value.nbytes <= _SMALL
        return bool(small) or len(self._plans) >= _MOST_ENTRIES

    def parted(self) -> bool:
        """Whether the pickle has a part of a container that was to be stored apart.

        The container stays in the pickle then, so that it is one object still.
        """
        found = {
            which
            for which, parts in self._whole.items()
            if not self._met.isdisjoint(parts)
        }
        self._part(found)
        self._met.clear()
        return bool(found)

    def write(self) -> None:
        """Write what was planned."""
        for which, plan in self._plans.items():
            if plan is not None:
                self.stored[which] = self._values.write(plan)


_MUTABLE = (list, dict, set, bytearray)
_PLAIN = frozenset({int, float, bool, complex, type(None)})
_BUILTIN = frozenset({list, dict, set, bytearray, tuple, frozenset, str, bytes})
_CONTAINERS = (*_MUTABLE, tuple, frozenset, str)


def _parts(value: Any) -> set[int] | None:
    """Ids of what can be changed within a container; None if one is there twice."""
    found: set[int] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind in _MUTABLE:
            if id(each) in found:
                return None
            found.add(id(each))
        if kind is dict:
            waiting.extend(each.values())
        if kind in (dict, list, tuple, set, frozenset):
            waiting.extend(each)
    found.discard(id(value))
    return found


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, with code as text and data apart."""

    def __init__(self, file: Any, apart: _Apart, sources: Sources) -> None:
        super().__init__(file, protocol=_PROTOCOL)
        self.bytecode = False
        self.modules: set[str] = set()
        self.secrets: set[str] = set()  # code that looks as if it had one, in words
        self._apart = apart
        self._sources = sources
        self._spaces: dict[int, dict[str, Any]] = {}  # globals, by their code's id

    def persistent_id(self, value: Any) -> str | None:
        if type(value) in _PLAIN:  # millions of them, maybe
            return None
        return self._apart.place(value)

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind is CodeType:
            return self._reduce_code(value)
        if kind is Source:
            parts = (value.filename, value.text, value.first)
            return read_source, (*parts, value.flags, value.optimize)
        generated = reduce_generated(value)
        if generated is not None:
            return generated
        if kind is FunctionType:
            self._spaces[id(value.__code__)] = value.__globals__
        found = super().reducer_override(value)
        self._note(value, kind, by_value=found is not NotImplemented)
        if kind is FunctionType and found is not NotImplemented:
            self.secrets.update(secret_globals(value))
        if found is not NotImplemented and issubclass(kind, type):
            return self._reduce_class(without_generated(found, value), value)
        return found

    def _reduce_class(self, reduced: tuple[Any, ...], kind: type) -> tuple[Any, ...]:
        source = text_of_class(kind)
        if source is not None:
            self._note_secret(source)
        return with_text(reduced, source)

    def _note_secret(self, source: Source) -> None:
        if has_secret(source.text):
            self.secrets.add(f"the text of {os.path.basename(source.filename)!r}")

    def _reduce_code(self, code: CodeType) -> Any:
        place = self._sources.find(code, self._spaces.get(id(code), {}))
        if place is None:
            self.bytecode = True
            return read_bytecode, (marshal.dumps(code), MAGIC)
        self._note_secret(place.source)
        return read_code, (
            place.source,
            code.co_name,
            code.co_firstlineno,
            place.which,
            place.count,
            place.kind,
            place.kinds,
            code.co_freevars,
            traits_of(code),
        )

    def _note(self, value: Any, kind: type, by_value: bool) -> None:
        """Note the package that reading a value will import."""
        if by_value:
            return
        if value is pickle.loads:  # the pickle that it is given may hold bytecode
            self.bytecode = True
        if isinstance(value, ModuleType):
            name = value.__name__
            if name not in sys.modules or _travels(name):
                return
        elif issubclass(kind, type):  # list[int] is an instance of it in Python 3.10
            name = module_of(value)
        elif kind is FunctionType or kind is _OF_C:
            name = value.__module__ or ""
        else:
            name = module_of(kind)
        name = name.partition(".")[0]
        if name and name not in _OWN and name not in _STANDARD:
            self.modules.add(name)


_OF_C = type(len)


def _travels(module: str) -> bool:
    """Whether a module, or a package that it is in, is pickled by value."""
    names = cloudpickle.list_registry_pickle_by_value()
    return any(module == name or module.startswith(f"{name}.") for name in names)


# -- reading -------------------------------------------------------------------


def read_call(
    open_entry: OpenEntry, limit: int
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A function and its arguments, as `write_call` wrote them.

    It may run any code: whoever calls it trusts the file, has compared the hashes of
    its entries, and, where it holds bytecode, Python's version.

    Raises
    ------
    BundleUnreadable
        Something that it needs cannot be imported here, or it is damaged.
    """
    reader = _CallReader(open_entry, limit)
    data = read_whole(CALL, open_entry, limit)
    try:
        function, args, kwargs = reader.loads(data)
    except BundleUnreadable:
        raise
    except ImportError as error:
        raise BundleUnreadable(
            f"the call needs what cannot be imported here: {error}",
            "install it, or open the file without its inputs",
        ) from error
    except Exception as error:  # it runs anybody's code
        raise _broken(error) from error
    return function, args, kwargs


def _broken(error: Exception) -> BundleUnreadable:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, AttributeError) and "cloudpickle" in text:
        return BundleUnreadable(
            f"the call was pickled by another version of cloudpickle: {text}",
            "install the version that the file names",
        )
    return BundleUnreadable(f"the call cannot be read here: {text}")


class _CallReader(Reader):
    """Reads values that are stored apart, each once."""

    def __init__(self, open_entry: OpenEntry, limit: int) -> None:
        super().__init__()
        self._open = open_entry
        self._most = limit
        self._read: dict[str, Any] = {}

    def persistent_load(self, entry: Any) -> Any:
        if entry not in self._read:
            self._read[entry] = read_value(entry, self._open, self._most)
        return self._read[entry]
