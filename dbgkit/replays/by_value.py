"""Pickles of what is in no module: as Dask makes them, and of what it cannot."""

from __future__ import annotations

import functools
import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle

_CACHED = type(functools.lru_cache(abs))
_MAKE_CACHED = "functools.lru_cache(most, typed)(function)"


def dumps_by_value(value: Any) -> bytes:
    """Pickle a value, by value where it must be (``distributed.protocol.pickle``).

    cloudpickle takes a function with an ``lru_cache`` by its name alone, even one of a
    script that another process has run. Its copy has an empty cache.
    """
    from distributed.protocol.pickle import dumps

    try:
        with _unlogged():
            data: bytes = dumps(value)
    except Exception:  # pickling runs anybody's code
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump(value)
        if not pickler.needed:
            raise
        return file.getvalue()
    return data


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, with caches; ``needed``: one could not be pickled by its name."""

    needed = False

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not _CACHED or _has_a_name(value):
            return super().reducer_override(value)
        self.needed = True
        settings = value.cache_parameters()
        given = {
            "functools": functools,
            "most": settings["maxsize"],
            "typed": settings["typed"],
            "function": value.__wrapped__,
        }
        return eval, (_MAKE_CACHED, given)


def _has_a_name(value: Any) -> bool:
    found: Any = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


@contextmanager
def _unlogged() -> Iterator[None]:
    """Without what Dask logs in this thread of a value that it cannot pickle.

    The error that is raised then says it.
    """
    here = threading.get_ident()
    logger = logging.getLogger("distributed.protocol.pickle")

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != here

    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)
