"""Literals of run specs in short texts, and the files that objects read from.

Nothing of the user's own is called.
"""

from __future__ import annotations

import datetime
import pathlib
import types
from collections.abc import Iterator
from typing import Any

from .objects import class_module, class_mro, class_name, is_a, module_of, stored

SHORT = 6  # items of a container, arguments of a call
_DEEPEST = 3  # containers within containers
_WIDE = 20  # items of a container that are looked through for files
_CHARS = 120  # of one text
_PATH = 1_000  # characters of a path, the last ones
_LAYERS = 12  # objects around the one that reads
_CONTAINERS = (list, tuple, set, dict)
_SCALARS = (str, bytes, int, float, complex, bool, type(None), range)
_TIMES = (datetime.date, datetime.time, datetime.timedelta)


# --- values -----------------------------------------------------------------------


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a value is a scalar, or a short container of such."""
    kind = type(value)
    if any(kind is each for each in (*_SCALARS, slice)) or _is_one_of(value, _TIMES):
        return True
    if _is_one_of(value, (pathlib.PurePath,)) or _is_numpy_scalar(value):
        return True
    if depth >= _DEEPEST or not any(kind is each for each in _CONTAINERS):
        return False
    if len(value) > 1_000:
        return False
    parts = [*value, *value.values()] if type(value) is dict else list(value)
    return all(is_plain(part, depth + 1) for part in parts[: 2 * SHORT])


def tell(value: Any, depth: int = 0) -> str:
    """A literal as a short text; for anything else, its type."""
    kind = type(value)
    if kind is dict and None in value and depth == 0:
        chunk = _tell_block_info(value)
        if chunk:
            return chunk
    if kind is str or kind is bytes:
        return _cut(value)
    if kind is int:
        return repr(value) if value.bit_length() <= 256 else "<long int>"
    if any(kind is each for each in _SCALARS):
        return repr(value)
    if kind is slice:
        return f"slice({_ends(value)})"
    if _is_one_of(value, _TIMES):
        return _tell_time(value)
    if _is_one_of(value, (pathlib.PurePath,)):
        return _cut(pathlib.PurePath.__str__(value))
    if _is_numpy_scalar(value) and depth <= _DEEPEST:
        return tell(value.item(), _DEEPEST + 1)
    if any(kind is each for each in _CONTAINERS):
        return _tell_container(value, depth)
    path = path_of(value)
    if path is not None:
        return _cut(path)
    if class_module(kind) == "dask._task_spec":
        key = getattr(value, "target", value.key)
        return "[…]" if key is None else f"<{key}>"[:_CHARS]  # a list, a dict
    if any(kind is each for each in _NAMED):
        return f"<{value.__name__[:_CHARS]}>"
    return f"<{class_name(kind)[:_CHARS]}>"


_NAMED = (types.FunctionType, types.BuiltinFunctionType, type)


def _tell_time(value: Any) -> str:
    """A time as text; a time zone of the user's own is left out."""
    if is_a(type(value), datetime.timedelta):
        return repr(datetime.timedelta.__str__(value))
    if is_a(type(value), datetime.datetime):
        if type(value.tzinfo) not in (type(None), datetime.timezone):
            value = value.replace(tzinfo=None)
        return repr(datetime.datetime.isoformat(value))
    if is_a(type(value), datetime.date):
        return repr(datetime.date.isoformat(value))
    return repr(datetime.time.isoformat(value.replace(tzinfo=None)))


def _is_one_of(value: Any, kinds: tuple[type, ...]) -> bool:
    return any(is_a(type(value), kind) for kind in kinds)


def _tell_container(value: Any, depth: int) -> str:
    kind = type(value)
    left, right = "[]" if kind is list else "()" if kind is tuple else "{}"
    if depth >= _DEEPEST:
        return f"{left}…{right}" if value else f"{left}{right}"
    if kind is dict:
        parts = [
            f"{tell(name, depth + 1)}: {tell(part, depth + 1)}"
            for name, part in list(value.items())[:SHORT]
        ]
    else:
        parts = [tell(part, depth + 1) for part in list(value)[:SHORT]]
    if len(value) > SHORT:
        parts.append(f"… {len(value) - SHORT:,} more")
    comma = "," if kind is tuple and len(value) == 1 else ""
    return f"{left}{', '.join(parts)}{comma}{right}"


def _tell_block_info(info: dict[Any, Any]) -> str:
    """What ``da.map_blocks`` hands over as ``block_info``: which chunk it is."""
    about = info.get(0, info[None])
    if type(about) is not dict:
        return ""
    location, where = about.get("chunk-location"), about.get("array-location")
    if type(location) is not tuple or type(where) is not list:
        return ""
    ends = ", ".join(f"{tell(one[0])}:{tell(one[1])}" for one in where[:SHORT])
    return f"<chunk {tell(location)} at [{ends}]>"


def _cut(value: Any) -> str:
    if len(value) <= _CHARS:
        return repr(value)
    unit = "characters" if type(value) is str else "bytes"
    return f"{value[:_CHARS]!r}… ({len(value):,} {unit})"


def _is_numpy_scalar(value: Any) -> bool:
    """Whether a value is one of numpy's numbers, texts or times."""
    return any(
        class_name(base) == "generic" and class_module(base) == "numpy"
        for base in class_mro(type(value))
    )


def _ends(value: slice) -> str:
    return f"{tell(value.start)}, {tell(value.stop)}, {tell(value.step)}"


def tell_index(index: Any) -> str:
    """A slice as one writes it: ``[0:5, 10:20]``."""
    parts = index if type(index) is tuple else (index,)
    texts = [_tell_slice(part) for part in parts[:SHORT]]
    if len(parts) > SHORT:
        texts.append("…")
    return f"[{', '.join(texts)}]"


def _tell_slice(part: Any) -> str:
    if type(part) is not slice:
        return "…" if part is Ellipsis else tell(part)
    ends = ["" if end is None else tell(end) for end in (part.start, part.stop)]
    step = "" if part.step in (None, 1) else f":{tell(part.step)}"
    return f"{':'.join(ends)}{step}"


# --- files ------------------------------------------------------------------------


def path_of(value: Any) -> str | None:
    """Where an open file of fsspec is, with its protocol; None for anything else."""
    kind = type(value)
    if class_name(kind) != "OpenFile" or module_of(kind) != "fsspec":
        return None
    path, files = str(stored(value, "path")), stored(value, "fs")
    protocol = getattr(type(files), "protocol", "")
    if type(protocol) in (list, tuple):
        protocol = protocol[0] if protocol else ""
    if protocol in ("", "file", "local", "abstract") or "://" in path:
        return path[-_PATH:]
    return f"{protocol}://{path}"[-_PATH:]


def paths_in(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Files that a literal reads from, and which part of each."""
    path = path_of(value)
    kind = type(value)
    if path is not None:
        yield path, ""
    elif class_name(kind) == "FragmentWrapper" and module_of(kind) == "dask":
        yield from _fragment(value)
    elif kind is dict and "piece" in value:
        yield from _piece(value["piece"])
    elif depth < _DEEPEST and (
        kind is list or kind is tuple or class_name(kind) == "OpenFiles"
    ):
        for part in value[:_WIDE]:
            yield from paths_in(part, depth + 1)


def _piece(piece: Any) -> Iterator[tuple[str, str]]:
    """``(path, row groups, partition keys)`` (dask/dataframe/io/parquet/core.py)."""
    if type(piece) not in (list, tuple) or not piece or type(piece[0]) is not str:
        return
    groups = piece[1] if len(piece) > 1 else None
    within = f"row groups {tell(list(groups))}" if groups and groups != [None] else ""
    yield piece[0][-_PATH:], within


def _fragment(wrapper: Any) -> Iterator[tuple[str, str]]:
    """``FragmentWrapper`` (dask/dataframe/dask_expr/io/parquet.py)."""
    packed = stored(wrapper, "_fragment_packed")
    if type(packed) is tuple and len(packed) > 1 and type(packed[1]) is str:
        yield packed[1][-_PATH:], ""
        return
    path = getattr(stored(wrapper, "_fragment"), "path", None)
    if type(path) is str and path:
        yield path[-_PATH:], ""


def file_of(value: Any) -> tuple[str, str] | None:
    """The file that an array-like object reads from, and which part; None without one.

    Knows h5py, zarr, ``numpy.memmap``, and what xarray puts around them.
    """
    for _ in range(_LAYERS):
        package = module_of(type(value))
        if package in ("h5py", "zarr"):
            return _file_of_store(value, package)
        if class_name(type(value)) == "memmap" and package == "numpy":
            name = stored(value, "filename")
            return (str(name)[-_PATH:], "") if name is not None else None
        if package in ("xarray", "rioxarray"):
            found = _file_of_backend(value)
            if found is not None:
                return found
        inner = stored(value, "array")
        # ``ZarrArrayWrapper`` (xarray/backends/zarr.py) has it by another name.
        value = stored(value, "_array") if inner is None else inner
        if value is None:
            return None
    return None


def _file_of_store(value: Any, package: str) -> tuple[str, str] | None:
    try:
        if package == "h5py":
            return str(value.file.filename)[-_PATH:], str(value.name)[-_CHARS:]
        store = value.store
        if class_name(type(store)) == "MemoryStore":
            return None  # it is named by where it is in memory
        root = getattr(store, "root", None) or getattr(store, "path", None) or store
        return str(root)[-_PATH:], str(getattr(value, "path", ""))[-_CHARS:]
    except (AttributeError, OSError, RuntimeError, ValueError):
        return None  # it was closed


def _file_of_backend(value: Any) -> tuple[str, str] | None:
    """``BackendArray`` of xarray: its store, or the manager of its file."""
    store = stored(value, "datastore")
    names = [
        stored(store, "_filename"),
        *(stored(value, name) for name in ("filename", "filename_or_obj")),
    ]
    for manager in (
        stored(store, "_manager"),
        *(stored(value, name) for name in ("_manager", "manager")),
    ):
        args = stored(manager, "_args")
        if type(args) is tuple and args:
            names.append(args[0])
    within = stored(value, "variable_name")
    for name in names:
        if type(name) is str or _is_one_of(name, (pathlib.PurePath,)):
            return str(name)[-_PATH:], within if type(within) is str else ""
    return None
