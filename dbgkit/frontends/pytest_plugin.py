"""The pytest plugin: ``--pdb`` opens in the task that failed, reports name it.

pytest imports this in every run, of whatever project: nothing here imports Dask until
a test has failed because of it. ``-p no:dbgkit`` leaves the plugin out.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Generator
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import pytest

from dbgkit.errors import DbgkitError
from dbgkit.frontends.importing import once_imported
from dbgkit.frontends.recognise import touches_dask
from dbgkit.remote.common.texts import in_line

# A report must not wait for a cluster that does not answer.
_PATIENCE = "5s"
_MOST_INPUTS = 20
_MOST_CHARS = 2_000
_SECTION = "Dask task"


class DaskTasks:
    """Hooks of one pytest run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.pdb: bool = bool(config.getoption("usepdb", False))
        self.captured = ExitStack()
        # What is about to be opened, and what to say above the prompt.
        self.opening: tuple[BaseException, str] | None = None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, None]:
        with ExitStack() as self.captured:
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, None]:
        """See ``with Client()`` in a test's body close because of an exception."""
        with once_imported("distributed", self._capture):
            yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Let go of what was captured: the report was made, the prompt was left."""
        self.captured.close()

    def _capture(self) -> None:
        capture = _verbs("debugging").capture
        # Inputs are pulled only for a prompt: a report needs none.
        self.captured.enter_context(capture(timeout=_PATIENCE, inputs=self.pdb))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[Any]
    ) -> Generator[None, Any, None]:
        """Add key, worker and inputs to a report, if it was Dask's work that failed."""
        outcome = yield
        if call.excinfo is not None and touches_dask(call.excinfo.value):
            text = _described(call.excinfo.value)
            if text:
                outcome.get_result().sections.append((_SECTION, text))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_exception_interact(
        self, call: pytest.CallInfo[Any]
    ) -> Generator[None, Any, None]:
        """Put the replayed exception in place of the one that came home, for --pdb."""
        found = call.excinfo
        if not self.pdb or found is None or not touches_dask(found.value):
            yield
            return
        replayed = _replayed(found.value)
        if isinstance(replayed, str):
            self.opening = (found.value, replayed)
        elif replayed.exception is None:
            self.opening = (found.value, _header(replayed))
        else:
            from dbgkit import debugger

            self.opening = (replayed.exception, _header(replayed))
            debugger.lead_to(replayed.exception, found.value)
            call.excinfo = pytest.ExceptionInfo.from_exception(replayed.exception)
        try:
            yield
        finally:
            call.excinfo = found
            self.opening = None
            if not isinstance(replayed, str):
                replayed.close()

    def pytest_enter_pdb(self, config: pytest.Config, pdb: Any) -> None:
        """Say what was replayed just above the prompt, which stops in the task."""
        if self.opening is None:
            return
        from dbgkit import debugger

        exception, header = self.opening
        print(header, file=sys.stdout)
        debugger.adopt(pdb, exception)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(DaskTasks(config), "dbgkit-tasks")


def pytest_unconfigure(config: pytest.Config) -> None:
    plugin = config.pluginmanager.get_plugin("dbgkit-tasks")
    if plugin is not None:
        config.pluginmanager.unregister(plugin)


def _verbs(name: str) -> Any:
    """The module of a verb; importing it warns nobody, whatever the test's filters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(f"dbgkit.api.{name}")


def _described(exception: BaseException) -> str:
    """Key, worker and inputs, or a line that says why they are not known.

    Empty if no task has failed.
    """
    try:
        failure = _sync(_verbs("locate").locate(exception, timeout=_PATIENCE))
        if failure.key is None:
            return ""
        lines = [
            f"key     {failure.key}",
            f"worker  {failure.worker or 'none: it ran in this process'}",
        ]
        lines += _place(failure)
        lines += [f"from    {origin.text}" for origin in failure.came_from]
        lines += [f"note    {note}" for note in failure.notes]
        lines += _inputs(exception)
    except DbgkitError as error:
        return f"not found: {error}"
    except Exception as error:  # a report that cannot be made must not fail the run
        return in_line(f"not found: {type(error).__name__}: {error}")
    text = "\n".join(map(in_line, lines))
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]} [...]"


def _place(failure: Any) -> list[str]:
    """The line that failed: pytest's own traceback has none of code that travelled."""
    from dbgkit import render

    place, *source = render.place(failure).split("\n")
    return [f"line    {place}", *source] if place else []


def _inputs(exception: BaseException) -> list[str]:
    try:
        plan = _sync(
            _verbs("replay").replay(exception, dry_run=True, timeout=_PATIENCE)
        )
    except DbgkitError as error:
        return [f"inputs  not known: {error}"]
    lines = [
        f"input   {one.name} [{one.key}]"
        + (f" {one.type}" if one.type else "")
        + (f", {one.nbytes:,} bytes" if one.nbytes is not None else "")
        for one in plan.inputs[:_MOST_INPUTS]
    ]
    left_out = len(plan.inputs) - len(lines)
    if left_out:
        lines.append(f"        and {left_out} more inputs")
    return [f"call    {plan.call}", *lines] if plan.call else lines


def _replayed(exception: BaseException) -> Any:
    """The replay, or a line that says why there is none."""
    try:
        verb = _verbs("replay").replay
        from dbgkit import render

        with render.Notifier() as notify:
            return _sync(verb(exception, notify=notify))
    except DbgkitError as error:
        return f"dbgkit: not replayed: {error}"
    except Exception as error:  # the test's own failure is what is to be seen
        return in_line(f"dbgkit: not replayed: {type(error).__name__}: {error}")


def _header(replayed: Any) -> str:
    from dbgkit import render

    return render.header(replayed)


def _sync(result: Any) -> Any:
    """A verb's result; with an asynchronous client it cannot be had from here."""
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise DbgkitError(
        "the client is asynchronous", "await dbgkit.debug() inside the test"
    )
