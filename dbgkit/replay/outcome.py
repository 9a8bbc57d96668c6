"""Is it the same failure? By class, message and innermost line of the user's own."""

from __future__ import annotations

from collections.abc import Iterable

from dbgkit.model import Failure, Outcome, Run
from dbgkit.remote.frames import own_line, own_line_of_text
from dbgkit.remote.texts import normalise, safe_repr, safe_str, signature

Place = tuple[str, int, str] | None

_TRUNCATED = "Long error message"  # distributed.core.truncate_exception


def compare(
    failure: Failure,
    exception_type: str,
    message: str,
    place: Place,
    text: str,
    broken_repr: tuple[str, str] | None = None,
) -> Outcome:
    """``"same"`` or ``"different"``.

    Parameters
    ----------
    failure : Failure
        What happened on the cluster.
    exception_type, message, place, text
        What happened now: class, ``str``, innermost own line, ``repr``.
    broken_repr : tuple of str, optional
        Class and message of what the exception's own ``repr`` raises: a worker then
        reports that instead.
    """
    before = own_line_of_text(failure.traceback_text)
    then = signature(failure.exception_type, failure.message, before)
    now = signature(exception_type, message, place)
    if broken_repr == (failure.exception_type, failure.message):
        return "same"
    # A class may be lost on its way home, and its own repr need not name it.
    if then[0] and then[0] != now[0]:
        return "different"
    if then[2] is not None and now[2] is not None and then[2] != now[2]:
        return "different"
    if then[1] == now[1] or _TRUNCATED in failure.message:
        return "same"
    # The scheduler has only the repr of an exception that lost its class.
    return "same" if then[1] in normalise(text) and then[1] else "different"


def run_of(failure: Failure, exception: BaseException | None, seconds: float) -> Run:
    """What one run in this process came to."""
    if exception is None:
        return Run("passed", seconds=seconds)
    message = safe_str(exception)
    outcome = compare(
        failure,
        type(exception).__name__,
        message,
        own_line(exception),
        safe_repr(exception),
        broken_repr(exception),
    )
    return Run(outcome, type(exception).__name__, message, seconds=seconds)


def broken_repr(exception: BaseException) -> tuple[str, str] | None:
    """Class and message of what an exception's ``repr`` raises, if it does."""
    try:
        repr(exception)
    except Exception as error:  # a user's own __repr__
        return type(error).__name__, safe_str(error)
    return None


def overall(runs: Iterable[Run]) -> Outcome:
    """The outcome of several runs: ``"same"`` if any, else the first not passed."""
    outcomes = [run.outcome for run in runs]
    if "same" in outcomes:
        return "same"
    return next((o for o in outcomes if o != "passed"), "passed")
