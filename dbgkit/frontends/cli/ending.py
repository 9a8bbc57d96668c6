"""How a command ends that cannot continue: with one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import click

from dbgkit.errors import CannotWrite, DbgkitError
from dbgkit.remote.common.texts import in_line, visible

FOUND, COULD_NOT_LOOK, INTERRUPTED = 1, 2, 130


class CouldNotLook(click.ClickException):
    """What was asked for cannot be shown; the process exits with code 2."""

    exit_code = COULD_NOT_LOOK


@contextmanager
def ending() -> Iterator[None]:
    """One line and code 2 for dbgkit's own errors and for errors of the system.

    A file, folder or stream that the system refuses is not a bug of ours.
    """
    try:
        yield
    except click.exceptions.Exit:
        _check_output()  # so end --help and --version
        raise
    except click.ClickException as error:
        # What was typed, of which click quotes some as it is.
        vars(error)["message"] = visible(error.message)
        raise
    except DbgkitError as error:
        if isinstance(error, CannotWrite):
            drop(sys.stdout)
        raise CouldNotLook(str(error)) from error
    except KeyboardInterrupt as interrupt:
        if str(interrupt):  # what a replay that was stopped says
            from dbgkit.render.saying import say

            say(interrupt)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        drop(sys.stdout)
        raise SystemExit(0) from None
    except OSError as error:
        drop(sys.stdout)
        raise CouldNotLook(_told(error)) from error


@contextmanager
def patient_pipe() -> Iterator[None]:
    """Continue quietly when nobody reads the output any longer, as with ``| head``."""
    try:
        yield
    except BrokenPipeError:
        drop(sys.stdout)


def drop(stream: IO[str] | None) -> None:
    """Make a stream that accepts no more discard the rest.

    Python flushes it at exit, and would complain.
    """
    if stream is None:
        return
    with suppress(OSError, ValueError):  # it may have no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def flushed(code: Any) -> Any:
    """The exit code, once all output has been flushed.

    Python itself only reports that it ignores what it could not write.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
    except OSError as error:
        drop(sys.stdout)
        with suppress(OSError):
            click.echo(f"Error: standard output cannot be written: {error}", err=True)
        code = COULD_NOT_LOOK
    except ValueError:  # a script has closed it
        pass
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        drop(sys.stderr)
    return code


def _check_output() -> None:
    """Raise if standard output is closed: click then writes nothing, nor says so."""
    if sys.stdout is not None:
        return
    from dbgkit.render.saying import writing

    try:
        with writing():
            pass
    except CannotWrite as error:
        raise CouldNotLook(str(error)) from None


def _told(error: OSError) -> str:
    if error.errno == errno.ENOENT and error.filename is None and _is_nowhere():
        return "the working directory was removed; change to one that exists"
    return in_line(str(error))


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
