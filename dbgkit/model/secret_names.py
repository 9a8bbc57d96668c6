"""Names that are hidden besides the usual ones, wherever values are shown."""

from __future__ import annotations

SETTING = "dbgkit.record.secret-names"


def secret_names() -> tuple[str, ...]:
    """What Dask's configuration has for ``dbgkit.record.secret-names``.

    What is no name is left out: `dbgkit.record` refuses it, and what is shown of a
    failure is not to fail because of it.
    """
    import dask

    names = dask.config.get(SETTING, ())
    if isinstance(names, str):
        return (names,)
    if not isinstance(names, (list, tuple, set, frozenset)):
        return ()
    return tuple(name for name in names if isinstance(name, str))
