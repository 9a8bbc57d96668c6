"""The exceptions that dbgkit raises: one tree, each with a hint at what to do next."""

from __future__ import annotations

from typing import Any

from dbgkit.remote.common.texts import in_line


class DbgkitError(Exception):
    """Base of every error that dbgkit raises on purpose: its text is one line.

    Secrets are hidden in its text, as in everything that is shown.

    Parameters
    ----------
    message : str
        What happened, and to which key.
    hint : str
        What to do next.
    key : optional
        The key that it happened to.
    """

    def __init__(self, message: str, hint: str = "", *, key: Any = None) -> None:
        # Late: what looks for secrets takes a while to import, and most never need it.
        from dbgkit.remote.secrets.redact import redact_text

        message, hint = redact_text(message), redact_text(hint)
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.key = key

    def __str__(self) -> str:
        return in_line(f"{self.message}; {self.hint}" if self.hint else self.message)


class WrongTarget(DbgkitError, TypeError):
    """The target, or another argument, is not of a kind that can be used."""


class NoFailure(DbgkitError):
    """There is nothing to debug: no exception, no client, no failed future."""


class UnknownKey(DbgkitError):
    """The scheduler does not know the key (any more)."""


class NotFailed(DbgkitError):
    """The task is there but has not failed: see ``state``."""

    def __init__(
        self, message: str, hint: str = "", *, key: Any = None, state: str = ""
    ) -> None:
        super().__init__(message, hint, key=key)
        self.state = state


class NotRunning(DbgkitError):
    """The task is there but does not run now: see ``state``."""

    def __init__(
        self, message: str, hint: str = "", *, key: Any = None, state: str = ""
    ) -> None:
        super().__init__(message, hint, key=key)
        self.state = state


class Cancelled(DbgkitError):
    """The future was cancelled."""


class NoTask(DbgkitError):
    """No task raised the failure, or the task is gone: there is nothing to replay."""


class InputsTooLarge(DbgkitError):
    """The inputs are over ``max_bytes``; nothing was pulled."""


class InputLost(DbgkitError):
    """An input is gone, and nothing on the cluster can compute it again."""


class InputMoved(InputLost):
    """An input was no longer where the scheduler had said; trying again may help."""


class InputUnreadable(DbgkitError):
    """An input arrived from its worker, but cannot be deserialised here."""


class InputNotCopyable(DbgkitError):
    """A value of this process cannot be copied, so a replay could change it."""


class RecomputeRefused(DbgkitError):
    """Inputs would have to be computed again, which was not allowed."""


class RecomputeFailed(DbgkitError):
    """An input failed when it was computed again (under a private key)."""


class Declined(DbgkitError):
    """The plan was shown and declined."""


class RunSpecUnreadable(DbgkitError):
    """The task cannot be unpickled here: see ``missing`` for the module."""

    def __init__(
        self, message: str, hint: str = "", *, key: Any = None, missing: str = ""
    ) -> None:
        super().__init__(message, hint, key=key)
        self.missing = missing


class WouldKill(DbgkitError):
    """The task killed a worker, so it is not run in this process."""


class NotRecorded(DbgkitError):
    """There is no recording of the failure."""


class RecorderBroken(DbgkitError):
    """The recorder, or a part of `live`, failed on a worker as it was turned on."""


class NotStopped(DbgkitError):
    """The task does not wait at a ``breakpoint()``, or somebody else is in it."""


class SchedulerGone(DbgkitError):
    """The scheduler does not answer, or the client is closed."""


class AnswerUnreadable(DbgkitError):
    """The answer of the scheduler, or of a worker, cannot be read."""


class DumpUnreadable(DbgkitError):
    """The file does not exist, is not a cluster dump, or is incomplete."""


class BundleUnreadable(DbgkitError):
    """The file is no bundle, is damaged, or is of a newer format."""


class NotTrusted(DbgkitError):
    """A file was opened without trust, so nothing that it holds is run."""


class SecretInside(DbgkitError):
    """What is to be written has something in it that looks like a secret."""


class CannotWrite(DbgkitError):
    """Standard output, or a file, cannot be written to."""


class UnknownName(DbgkitError, ValueError):
    """There is no state, column or worker of this name."""


class WaitTimedOut(DbgkitError, TimeoutError):
    """A wait on the cluster reached its limit."""


class NotVerified(DbgkitError):
    """No test was written: what it runs does not fail as the task did."""


class NotHere(DbgkitError):
    """What was asked for is not supported, or not in this case."""


class StandInLacks(DbgkitError, AttributeError):
    """The task asked for something of its worker that the stand-in does not have."""
