"""Run a script as Python would, as ``__main__`` of this process."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

import click

from dbgkit.errors import DbgkitError

INTERRUPTED = 130  # what a shell says of a process that Ctrl-C ended


def run_script(
    script: str,
    args: Sequence[str],
    *,
    module: bool,
    prompt: bool | None,
    timeout: str,
    max_bytes: str,
    where: str | None,
) -> int | str | None:
    """Run a script, debug what it raises, and return its exit code.

    What is returned is for `SystemExit`, whose own forms are kept.
    """
    try:
        main, code = _load_module(script) if module else _load_script(script)
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    sys.argv[:] = [str(main.__file__) if module else script, *args]
    # Left in place: what was pickled from it is found there while debugging, and in
    # functions that run at exit.
    sys.modules["__main__"] = main
    from dbgkit import api

    with api.capture(timeout=timeout, max_bytes=max_bytes):
        try:
            exec(code, main.__dict__)
        except SystemExit as error:
            return error.code
        except KeyboardInterrupt as error:
            return _interrupted(error)
        except BaseException as error:
            error.__traceback__ = _without_us(error.__traceback__)
            sys.excepthook(type(error), error, error.__traceback__)
            if isinstance(error, Exception):
                return _debug(
                    error,
                    prompt=prompt,
                    where=where,
                    timeout=timeout,
                    max_bytes=max_bytes,
                )
            return 1
    return 0


def _debug(error: Exception, **options: Any) -> int:
    from dbgkit import api

    try:
        api.debug(error, **options)
    except DbgkitError as ours:
        print(f"dbgkit: {ours}", file=sys.stderr)
    except KeyboardInterrupt as interrupt:
        return _interrupted(interrupt)
    return 1


def _interrupted(error: KeyboardInterrupt) -> int:
    traceback.print_exception(type(error), error, _without_us(error.__traceback__))
    return INTERRUPTED


def _without_us(tb: TracebackType | None) -> TracebackType | None:
    """A traceback that begins in the script, as if Python had run it."""
    while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
        tb = tb.tb_next
    return tb


def _load_script(path: str) -> tuple[ModuleType, CodeType]:
    """``__main__`` for a file; for a folder or a zip file, its ``__main__.py``."""
    if not os.path.exists(path):
        raise click.UsageError(f"can't open file {path!r}: there is no such file")
    if not _is_source(path):
        _put_first(path)
        spec = PathFinder.find_spec("__main__", [path])
        if spec is None:
            raise click.UsageError(f"can't find '__main__' in {path!r}")
        return _from_spec(spec, path)
    _put_first(os.path.dirname(os.path.realpath(path)))
    path = os.path.abspath(path)
    with io.open_code(path) as file:
        source = file.read()
    # No spec, as of any script: multiprocessing then goes by the file.
    main = _module(path, None, SourceFileLoader("__main__", path))
    # Without this module's own `from __future__` imports.
    return main, compile(source, path, "exec", dont_inherit=True)


def _load_module(name: str) -> tuple[ModuleType, CodeType]:
    """``__main__`` for ``-m name``; for a package, its ``__main__`` module."""
    _put_first(os.getcwd())
    spec = _find(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _find(f"{name}.__main__")
    if spec is None or not hasattr(spec.loader, "get_code"):
        raise click.UsageError(f"no module named {name!r} that can be run")
    return _from_spec(spec, str(spec.origin))


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        raise click.UsageError(str(error)) from None


def _from_spec(spec: ModuleSpec, path: str) -> tuple[ModuleType, CodeType]:
    loader: Any = spec.loader
    code: CodeType = loader.get_code(spec.name)
    main = _module(spec.origin or path, spec, loader)
    main.__package__ = spec.parent
    return main, code


def _module(path: str, spec: ModuleSpec | None, loader: Any) -> ModuleType:
    main = ModuleType("__main__")
    main.__file__ = path
    main.__spec__ = spec
    main.__loader__ = loader
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    return main


def _is_source(path: str) -> bool:
    if os.path.isdir(path):
        return False
    import zipfile

    return not zipfile.is_zipfile(path)


def _put_first(folder: str) -> None:
    """Set ``sys.path[0]``, which is where the command itself was found so far."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0:1] = [folder]
