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
from typing import Any

from dbgkit.bundles.to_test_alike import alike
from dbgkit.errors import NotHere
from dbgkit.remote.common.modules import named_in
from dbgkit.replays.function_call import Consumed

MOST_BYTES = 200_000_000  # of all files of a test
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


def keep(value: Any, name: str) -> Kept:
    """The first format that gives back the value; raises `NotHere` if none does."""
    if isinstance(value, Consumed):
        kept = keep(value.items, name)
        return Kept(**{**vars(kept), "read": f"iter({kept.read})"})
    for form in _forms(value):
        try:
            kept, again = form(value)
        except Exception:  # the library's own refusal: the next one may do
            continue
        if alike(again, value):
            return kept
    return _pickled(value, name)


Form = Callable[[Any], tuple[Kept, Any]]


def _forms(value: Any) -> Iterator[Form]:
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if module == "pandas" and "pandas" in sys.modules:
        yield from (_parquet, _feather) if kind.__name__ == "DataFrame" else ()
        yield from (_series,) if kind.__name__ == "Series" else ()
    elif module == "numpy" and kind.__name__ == "ndarray":
        yield _npy
    elif kind is bytes:
        yield _bytes
    elif kind in (list, dict, str, int, tuple):
        yield _json


def _parquet(value: Any) -> tuple[Kept, Any]:
    import pandas as pd

    file = io.BytesIO()
    value.to_parquet(file)
    kept = Kept(
        "parquet", file.getvalue(), "pd.read_parquet({})", ("import pandas as pd",)
    )
    return kept, pd.read_parquet(io.BytesIO(kept.data))


def _feather(value: Any) -> tuple[Kept, Any]:
    import pandas as pd

    file = io.BytesIO()
    value.to_feather(file)
    kept = Kept(
        "feather", file.getvalue(), "pd.read_feather({})", ("import pandas as pd",)
    )
    return kept, pd.read_feather(io.BytesIO(kept.data))


def _series(value: Any) -> tuple[Kept, Any]:
    kept, again = _parquet(value.to_frame())
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


def _pickled(value: Any, name: str) -> Kept:
    """By reference where that can be; else with code, of this very Python."""
    version = "{}.{}".format(*sys.version_info)
    try:
        data = pickle.dumps(value)
        modules = {module for module, _ in named_in(data)}
        pickle.loads(data)
    except Exception:  # it has code of `__main__`, or of a function
        modules = {*_MAIN}
    note = ""
    if not modules.isdisjoint(_MAIN):
        data = _by_value(value, name)
        modules = {m for m, _ in named_in(data)} - {*_MAIN}
        note = (
            f"a pickle with code of the job's own in it: for Python {version} alone, "
            "with cloudpickle"
        )
    elif len(data) <= MOST_BYTES:
        note = "a pickle: for the versions of libraries that are here"
    read = "pickle.loads({}.read_bytes())"
    return Kept("pickle", data, read, ("import pickle",), tuple(sorted(modules)), note)


def _by_value(value: Any, name: str) -> bytes:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(value)
    except Exception as error:  # pickling runs anybody's code
        raise NotHere(
            f"{name!r} cannot be written to a file: {error}",
            "a test needs values that can be pickled",
        ) from error
    return data
