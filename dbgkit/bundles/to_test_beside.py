"""Values that are too large for a test's text: files beside it, which it reads.

The test reads them with the libraries they are of. What no such format gives back as it
was is pickled.
"""

from __future__ import annotations

import io
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

from dbgkit.bundles.to_test_alike import alike
from dbgkit.errors import DbgkitError, NotHere
from dbgkit.remote.common.modules import named_in
from dbgkit.remote.common.texts import safe_str
from dbgkit.replays.function_watch import Consumed

MOST_BYTES = 200_000_000  # of all files of a test
Reference = Callable[[Any], str]
Form = Callable[[Any], tuple["Kept", Any]]
_MAIN = ("__main__", "__mp_main__")


@dataclass(frozen=True)
class Kept:
    """A value in a file: how it is read again, and what that needs."""

    ending: str
    data: bytes
    read: str  # with {} for the path of the file
    imports: tuple[str, ...]
    modules: tuple[str, ...] = ()  # that a pickle names
    note: str = ""
    named: bool = False  # whether it names what is in the test's own file


def keep(value: Any, name: str, reference: Reference) -> Kept:
    """The first format that gives back the value; raises `NotHere` if none does."""
    if isinstance(value, Consumed):
        kept = keep(value.items, name, reference)
        return Kept(**{**vars(kept), "read": f"iter({kept.read})"})
    for form in _forms(value):
        try:
            kept, again = form(value)
        except Exception:  # the library's own refusal: the next one may do
            continue
        if alike(again, value):
            return kept
    return _pickled(value, name, reference)


def _forms(value: Any) -> Iterator[Form]:
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if module == "pandas" and "pandas" in sys.modules:
        if kind.__name__ == "DataFrame":
            yield from (partial(_table, form) for form in ("parquet", "feather"))
        elif kind.__name__ == "Series":
            yield _series
    elif module == "numpy" and kind.__name__ == "ndarray":
        yield _npy
    elif kind is bytes:
        yield _bytes
    elif kind in (list, dict, str, int, tuple):
        yield _json


def _table(form: str, value: Any) -> tuple[Kept, Any]:
    """A format that pandas writes and reads: ``parquet``, ``feather``."""
    import pandas as pd

    file = io.BytesIO()
    getattr(value, f"to_{form}")(file)
    imports = ("import pandas as pd",)
    kept = Kept(form, file.getvalue(), f"pd.read_{form}({{}})", imports)
    return kept, getattr(pd, f"read_{form}")(io.BytesIO(kept.data))


def _series(value: Any) -> tuple[Kept, Any]:
    kept, again = _table("parquet", value.to_frame())
    read = f"{kept.read}.iloc[:, 0]"
    return Kept(kept.ending, kept.data, read, kept.imports), again.iloc[:, 0]


def _npy(value: Any) -> tuple[Kept, Any]:
    import numpy as np

    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    kept = Kept("npy", file.getvalue(), "np.load({})", ("import numpy as np",))
    return kept, np.load(io.BytesIO(kept.data), allow_pickle=False)


def _bytes(value: bytes) -> tuple[Kept, Any]:
    imports: tuple[str, ...] = ()
    return Kept("bin", value, "{}.read_bytes()", imports), value


def _json(value: Any) -> tuple[Kept, Any]:
    text = json.dumps(value, indent=1)
    read = 'json.loads({}.read_text(encoding="utf-8"))'
    return Kept("json", text.encode(), read, ("import json",)), json.loads(text)


def _pickled(value: Any, name: str, reference: Reference) -> Kept:
    """With functions and classes by their names: of modules, or of the test's own file.

    So none of the code that is to be mended is within the pickle.
    """
    file = io.BytesIO()
    pickler = ByName(file, reference)
    try:
        pickler.dump(value)
    except DbgkitError:
        raise
    except Exception as error:  # pickling runs anybody's code
        raise NotHere(
            f"{name!r} cannot be written to a file: {safe_str(error)}",
            "a test needs values that can be pickled",
        ) from error
    data = file.getvalue()
    modules = tuple(sorted({module for module, _ in named_in(data)}))
    note = "a pickle, for the versions of libraries that are here"
    path, imports = "{}.read_bytes()", ("import pickle",)
    if pickler.named:
        read = f"Named(io.BytesIO({path})).load()"
        return Kept("pickle", data, read, ("import io", *imports), modules, note, True)
    return Kept("pickle", data, f"pickle.loads({path})", imports, modules, note)


class ByName(pickle.Pickler):
    """Writes functions and classes that no module has as names of the test's file."""

    def __init__(self, file: io.BytesIO, reference: Reference) -> None:
        super().__init__(file, protocol=4)
        self.named = False
        self._reference = reference

    def persistent_id(self, obj: Any) -> str | None:
        if not isinstance(obj, (FunctionType, type)) or _has_home(obj):
            return None
        self.named = True
        return self._reference(obj)


def _has_home(value: Any) -> bool:
    """Whether a module has it under its name, so that a pickle names it by itself."""
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or module in _MAIN:
        return False
    found: Any = sys.modules.get(module)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value
