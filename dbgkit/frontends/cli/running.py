"""Run a script as Python would, as ``__main__`` of this process."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

import click

from dbgkit.advice import worded
from dbgkit.errors import CannotWrite, DbgkitError
from dbgkit.frontends.cli.ending import INTERRUPTED, drop, patient_pipe
from dbgkit.frontends.cli.guard import quiet_without_guard
from dbgkit.frontends.cli.held import HeldBlocks
from dbgkit.frontends.cli.telling import Telling
from dbgkit.frontends.cli.threads import ThreadFailures
from dbgkit.frontends.verbs import CAPTURED
from dbgkit.frontends.wording import Run, quoted
from dbgkit.model import Progress
from dbgkit.remote.common.texts import visible
from dbgkit.render.notifier import Notifier
from dbgkit.render.saying import say, say_stopped
from dbgkit.targets.ending import to_debug
from dbgkit.targets.starting import guard_missing


def run_script(
    script: str,
    args: Sequence[str],
    *,
    module: bool,
    save: str | None = None,
    **options: Any,
) -> int | str | None:
    """Run a script, debug what it raises, and return its exit code.

    ``options`` are those of `debug`; ``save`` is where to save the failure first. The
    result is for `SystemExit`, in any form that this takes.
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
    from dbgkit.api.debugging import capture

    with (
        Notifier() as notify,
        capture(
            notify=partial(_progress, notify),
            **{n: options[n] for n in CAPTURED if n in options},
        ) as kept,
        quiet_without_guard(),
        HeldBlocks(lambda: kept.taken) as held,
        worded(Run()),
        ThreadFailures(kept) as threads,
    ):
        status, ended, failed = _run(code, main)
        telling = Telling(ended, held, notify)
        if isinstance(ended, KeyboardInterrupt):
            return INTERRUPTED
        first = failed if failed is not None else threads.first
        if save is not None and first is not None:
            _save(first, save, notify, options)
        if failed is not None:
            status = _debug(failed, status, telling, **options)
        if threads.first is not None:
            say(threads)
            if failed is None:
                status = _debug(threads.first, status, telling, **options)
    return status


def _run(
    code: CodeType, main: ModuleType
) -> tuple[int | str | None, BaseException | None, BaseException | None]:
    """Run a script: its exit code, what ended it, and the exception to debug."""
    try:
        exec(code, main.__dict__)
    except SystemExit as error:
        # Python says no more of it, so that the report has to.
        return error.code, None, to_debug(error)
    except KeyboardInterrupt as error:
        error.__traceback__ = _without_us(error.__traceback__)
        sys.stderr.write(visible("".join(traceback.format_exception(error))))
        return INTERRUPTED, error, None
    except BaseException as error:
        error.__traceback__ = _without_us(error.__traceback__)
        if (missing := guard_missing(error)) is not None:
            say(missing)
            return 1, None, None
        return 1, error, to_debug(error)
    return 0, None, None


def _progress(notify: Notifier, event: Any) -> None:
    """Of what is taken from a client that closes, only the progress is shown."""
    if isinstance(event, Progress):
        notify(event)


def _save(
    error: BaseException, path: str, notify: Notifier, options: Mapping[str, Any]
) -> None:
    """Save what a script raised as a file; one line says so, or why not."""
    from dbgkit.api.save import save

    given = {name: options[name] for name in _OF_SAVE if options.get(name) is not None}
    try:
        saved = save(error, path, notify=partial(_progress, notify), **given)
    except DbgkitError as ours:
        say(f"not saved: {ours}")
        return
    except KeyboardInterrupt as interrupt:
        say_stopped(interrupt)
        return
    say(f"saved {saved.path!r}: dbgkit open {quoted(path)} opens it")


_OF_SAVE = ("recompute", "timeout", "max_bytes")


def _debug(
    error: BaseException,
    status: int | str | None,
    telling: Telling,
    **options: Any,
) -> int | str | None:
    """Debug an exception; gives the exit code: ``status`` unless it is stopped."""
    from dbgkit.api.debugging import debug_ended

    try:
        with patient_pipe(), telling.finding():
            debug_ended(error, telling.before, notify=telling.notify, **options)
        telling.told()
        telling.name_others()
    except DbgkitError as ours:
        telling.by_traceback()
        say(ours)
        if isinstance(ours, CannotWrite):
            drop(sys.stdout)
    except KeyboardInterrupt as interrupt:
        telling.by_traceback()
        # Where it was while it ran again says no more than that.
        say_stopped(interrupt)
        return INTERRUPTED
    finally:
        telling.by_traceback()
    return status


def _without_us(tb: TracebackType | None) -> TracebackType | None:
    """A traceback that begins in the script, as if Python had run it."""
    while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
        tb = tb.tb_next
    return tb


def _load_script(path: str) -> tuple[ModuleType, CodeType]:
    """``__main__`` for a file; for a folder or a zip file, its ``__main__.py``."""
    if not os.path.exists(path):
        raise click.UsageError(f"can't open file {path!r}: it does not exist")
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
    """Set ``sys.path[0]``, which until now is the folder of the command itself."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0:1] = [folder]
