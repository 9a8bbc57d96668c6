"""One run of the task, in this process, with its frames kept alive."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from dbgkit.model import Progress, Step
from dbgkit.remote.common.carried import carried_by
from dbgkit.remote.common.exceptions import linked
from dbgkit.remote.recording.steps import MOST_STEPS, BegunTask
from dbgkit.replays.nodes import bind
from dbgkit.replays.standin import to_its_end
from dbgkit.replays.steps import begun_steps


@dataclass
class Call:
    """One run, before it is compared with anything."""

    exception: BaseException | None = None
    result: Any = None
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    data: dict[Any, Any] = field(default_factory=dict)
    key: Any = None
    seconds: float = 0.0
    # Of a graph: the last tasks that had begun, with their inputs.
    begun: deque[BegunTask] = field(default_factory=lambda: deque(maxlen=MOST_STEPS))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps up to the failure: tasks of a graph, except fused ones."""
        return begun_steps(self.begun, self.exception)


CTRL_C = (KeyboardInterrupt,)  # propagates where somebody can press it


def call_task(
    node: Any,
    data: dict[Any, Any],
    surroundings: AbstractContextManager[Any],
    through: tuple[type[BaseException], ...] = CTRL_C,
) -> Call:
    """Run one node on its inputs.

    What is to go ``through`` propagates; whatever else the task raises is the result.
    """
    call = Call(data=data, key=node.key)
    handled = sys.exc_info()[1]
    start = time.perf_counter()
    with surroundings:
        try:
            call.function, call.args, call.kwargs = bind(node, data)
            call.result = _invoke(call.function, *call.args, **call.kwargs)
            carried = carried_by(call.result)
            call.exception = None if carried is None else _apart(carried, handled)
        except through:
            raise
        except BaseException as error:  # the task's own, SystemExit too
            call.exception = _apart(error, handled)
    call.seconds = time.perf_counter() - start
    return call


def call_graph(
    nodes: Mapping[Any, Any],
    outputs: list[Any],
    data: dict[Any, Any],
    notify: Callable[[Any], Any],
    surroundings: AbstractContextManager[Any],
    through: tuple[type[BaseException], ...] = CTRL_C,
) -> Call:
    """Run a graph under Dask's synchronous scheduler, up to the first task that fails.

    The call's ``key`` is the task that failed, else the last output.
    """
    from dask._task_spec import DataNode, Task
    from dask.callbacks import Callback
    from dask.local import get_sync

    graph = {key: _awaited(node) for key, node in nodes.items()}
    graph.update(
        {key: DataNode(key, value) for key, value in data.items() if key not in graph}
    )
    call = Call(key=outputs[-1])
    handled = sys.exc_info()[1]
    started = 0

    def before(key: Any, graph: Any, state: Any) -> None:
        nonlocal started
        call.key = key
        if worker is not None:
            worker.begin(key)
        if key in nodes:
            call.data = {name: state["cache"][name] for name in nodes[key].dependencies}
            if isinstance(nodes[key], Task):
                call.begun.append((key, nodes[key], call.data))
            notify(Progress("run", started, len(nodes)))
            started += 1

    start = time.perf_counter()
    with surroundings as worker, Callback(pretask=before):
        try:
            call.result = get_sync(
                graph,
                list(outputs),
                pack_exception=_with_traceback,
                raise_exception=_raise_as_it_is,
            )[-1]
        except through:
            raise
        except BaseException as error:  # the task's own, SystemExit too
            call.exception = _apart(error, handled)
    call.seconds = time.perf_counter() - start
    if call.key in nodes and call.data.keys() >= set(nodes[call.key].dependencies):
        call.function, call.args, call.kwargs = _bound(nodes[call.key], call.data)
    return call


def _apart(error: BaseException, handled: BaseException | None) -> BaseException:
    """The error, cut off from what this process was handling when the task was run.

    A replay inside an ``except`` block would otherwise seem to be caused by it.
    """
    for link in linked(error) if handled is not None else ():
        if link.__context__ is handled:
            link.__context__ = None
    return error


def _with_traceback(
    error: BaseException, dumps: Any
) -> tuple[BaseException, TracebackType | None]:
    """A task's exception in the form that ``dask.local`` passes on, not raised yet."""
    return error, error.__traceback__


def _raise_as_it_is(error: BaseException, tb: TracebackType | None) -> None:
    """Raise a task's exception without changing its context.

    Raised as ``dask.local`` does by default, it would get the exception that this
    process is handling, if any, as its context.
    """
    context = error.__context__
    try:
        raise error.with_traceback(tb)
    finally:
        error.__context__ = context


def _bound(node: Any, data: Mapping[Any, Any]) -> Any:
    try:
        return bind(node, data)
    except Exception:  # it is the arguments that failed: they are in the exception
        return None, (), {}


def _awaited(node: Any) -> Any:
    """A node whose coroutine is run to its end, as a worker does."""
    from dask._task_spec import Task

    if isinstance(node, Task) and inspect.iscoroutinefunction(node.func):
        return type(node)(
            node.key, partial(_invoke, node.func), *node.args, **node.kwargs
        )
    return node


def _invoke(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call the task's function; if it is not a Python function, one stops here.

    A coroutine is run to its end, whether or not a loop runs in this thread.
    """
    result = function(*args, **kwargs)
    if not inspect.iscoroutine(result):
        return result
    if _in_loop():
        return _run_in_thread(result)
    return asyncio.run(to_its_end(result))


def _in_loop() -> bool:
    """Whether a loop runs in this thread.

    What the task raises is not to be raised while our own question's answer is handled.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_in_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a loop of its own; Ctrl-C cancels it."""
    import contextvars

    outcome: Future[Any] = Future()
    running: list[Any] = []

    async def main() -> Any:
        running.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await to_its_end(coroutine)

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(main()))
        except BaseException as error:  # raised again in the calling thread
            outcome.set_exception(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        if running:
            loop, task = running[0]
            loop.call_soon_threadsafe(task.cancel)
        raise
    return outcome.result()
