"""``dbgkit.attach``: what waits at a ``breakpoint()`` or is held, and its prompt."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal, overload

from dbgkit import advice, render
from dbgkit.api.asking import Asking, Async, Sync, Unpack, look, own_client
from dbgkit.api.recorder import link_of
from dbgkit.cluster.clients import is_future
from dbgkit.cluster.link import Link
from dbgkit.cluster.live import stop_from_wire, stops_of, who_am_i
from dbgkit.cluster.talk import Talk
from dbgkit.cluster.view import View
from dbgkit.debugger import (
    WINDOW,
    Relay,
    Unable,
    can_prompt,
    converse,
    last_words,
)
from dbgkit.debugger.live import Ended
from dbgkit.errors import NotHere, NotStopped, WaitTimedOut, WrongTarget
from dbgkit.model.attach import Stop, Stops
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.parsing import literal
from dbgkit.remote.common.texts import with_article
from dbgkit.source.stopped import Stopped

Debugger = Literal["pdb", "debugpy"]


class _Options(Asking, total=False):
    source: Any
    prompt: bool | None
    debugger: Debugger | None


@overload
def attach(
    target: None = None, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Stops: ...


@overload
def attach(
    target: None = None, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Stops]: ...


@overload
def attach(
    target: Any, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Stop: ...


@overload
def attach(
    target: Any, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Stop]: ...


def attach(
    target: Any = None,
    *,
    client: Any = None,
    debugger: Debugger | None = None,
    prompt: bool | None = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Stops | Stop | Coroutine[Any, Any, Stops | Stop]:
    """List what waits at a ``breakpoint()`` and failures that are held, or enter one.

    The prompt is pdb's, in the task's own thread on its worker: `live` makes tasks
    stop. ``q`` leaves, and the task waits on; ``c`` has it go on; ``abort`` fails it;
    Ctrl-C interrupts what runs at the prompt. Values are the task's own, not copies.

    Failures are held by ``record(keep_frames=…)``. There the prompt is that of a
    post-mortem on the live frames, in a thread of its own: nothing is replayed or
    moved. ``exceptions`` lists what it was raised from; ``q`` leaves, and ``drop``
    frees the memory.

    Parameters
    ----------
    target : optional
        A `Stop`, a future, or a key, also as text. Nothing: list what waits.
    client : Client or str, optional
        By default that of the future, else the current one.
    debugger : {"pdb", "debugpy"}, optional
        ``"debugpy"``: in place of a prompt here, VS Code or another editor that speaks
        the Debug Adapter Protocol debugs the task. It connects to a port of this
        machine alone, which is shown, and open to one connection, for a minute. The
        call returns once the editor has left. Workers need debugpy; this process does
        not.
    prompt : bool, optional
        False: show what waits there, never prompt, as where nobody can type.
    source : path or list of paths, optional
        Files (.py, .ipynb) and folders to search for the text of code that travelled
        by value.
    timeout : str or float
        Limit of each wait on the cluster, but not for what is typed.
    asynchronous : bool, optional
        As for `locate`.

    Returns
    -------
    Stops or Stop
        What waits and is held; or what was entered, with ``how`` it was left. With an
        asynchronous client, an awaitable.

    Raises
    ------
    NotStopped
        The task neither waits nor is held, or somebody else is in it.
    NotHere
        The worker has no debugpy, or has a session of it already; or a failure is
        held there, and nothing runs.
    NoFailure, SchedulerGone, WaitTimedOut
        There is no cluster, or it does not answer; or no editor has connected.

    Notes
    -----
    Costs one call to the scheduler, and one connection for as long as the prompt is
    open: to the worker, or through the scheduler where only that can be reached.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> def ratio(x):
    ...     breakpoint()
    ...     return 1 / x
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     with dbgkit.live():
    ...         future = client.submit(ratio, 4, key="ratio-4")
    ...         while not (waiting := dbgkit.attach()):
    ...             pass
    ...         print(waiting[0].key, waiting[0].state, waiting[0].line.split()[-1])
    ratio-4 waiting ratio
    """
    if debugger not in (None, "pdb", "debugpy"):
        raise ValueError(f"debugger={debugger!r} is not one of 'pdb', 'debugpy'")
    edited = debugger == "debugpy"
    mine = own_client(target) if client is None else client

    def run(found: View) -> Stops | Stop:
        link, stopped = link_of(found), Stopped()
        over: set[str] = set()
        while True:
            waiting = stops_of(link, stopped.line)
            if target is None:
                return waiting
            chosen = _chosen(waiting, target, over)
            wants_prompt = edited or can_prompt() if prompt is None else prompt
            if not wants_prompt:
                render.present(chosen)
                return chosen
            entered = (_edit if edited else _enter)(link, chosen, stopped)
            if entered is not None:
                return entered
            over.add(chosen.id)  # the scheduler has not heard yet that it went on

    return look(None, mine, None, timeout, run, asynchronous, source)


def attach_numbered(number: int, *, client: Any = None, **options: Any) -> Any:
    """Enter the first, second or so on of the list, in its order."""
    waiting: Any = attach(client=client, timeout=options.get("timeout", "30s"))
    if not isinstance(waiting, Stops):  # a coroutine: the client is asynchronous
        return waiting
    if not 1 <= number <= len(waiting):
        raise NotStopped(
            f"{number} is no number in the list of {len(waiting)}",
            f"{advice.call('attach')} lists them; the key {number} is written "
            f"({number})",
        )
    return attach(waiting[number - 1], client=client, **options)


def _enter(link: Link, chosen: Stop, stopped: Stopped) -> Stop | None:
    """Open the prompt of a stop; gives it as it was left. None: it is over."""
    client = link.client
    forms: list[Any] = []

    def header(message: dict[str, Any]) -> str:
        forms[:] = [message["stop"]]
        stop = stop_from_wire(message["stop"], stopped.line)
        return render.stop_header(stop, str(message.get("header", "")))

    who = who_am_i(client)
    with Talk(client, chosen.worker, chosen.id, who, link.timeout) as talk:
        ended = converse(talk, stopped.text, header)
    return _left(chosen, ended, forms[0] if forms else None, stopped)


def _edit(link: Link, chosen: Stop, stopped: Stopped) -> Stop | None:
    """Have an editor debug the task of a stop; as `_enter` otherwise."""
    if chosen.state == "held":
        raise NotHere(
            f"the failure of {chosen.key!r} is held: nothing runs there that debugpy "
            "could debug",
            f"{advice.call('attach', chosen.key)} opens pdb on its frames",
            key=chosen.key,
        )

    def invite(message: dict[str, Any], port: int) -> None:
        form: Any = message["stop"]
        stop = stop_from_wire(form, stopped.line)
        mapping = stopped.mapping(form["place"])
        said = str(message.get("header", ""))
        render.put_text(render.editor_header(stop, said, port, WINDOW, mapping))

    who = f"{who_am_i(link.client)}, with debugpy"
    with Talk(link.client, chosen.worker, chosen.id, who, link.timeout) as talk:
        relay = Relay(talk, stopped.text, invite, render.say)
        ended = relay.run(link.timeout)
    if isinstance(ended, Unable):
        message = f"{chosen.key!r} waits on, at its prompt: {ended.why}"
        kind = WaitTimedOut if ended.late else NotHere
        raise kind(message, ended.hint, key=chosen.key)
    if ended.how == "detached" and ended.why:
        render.say(ended.why)
    return _left(chosen, ended, ended.stop, stopped)


def _left(chosen: Stop, ended: Ended, form: Any, stopped: Stopped) -> Stop | None:
    """A stop as a session has left it; None: it was over."""
    if ended.gone:
        return None
    if ended.how == "refused":
        hint = f"{advice.call('attach')} lists what waits"
        message = f"{chosen.key!r} cannot be entered: {ended.why}"
        raise NotStopped(message, hint, key=chosen.key)
    render.say(last_words(ended, advice.call("attach", chosen.key)))
    left = stop_from_wire(form, stopped.line) if form else chosen
    until = datetime.fromtimestamp(ended.until or left.until.timestamp(), timezone.utc)
    return replace(left, who="", entered=None, how=ended.how, until=until)


def _chosen(waiting: Stops, target: Any, over: set[str]) -> Stop:
    """The stop that a target means; of several of one key, the newest that is free.

    One that waits comes before a failure of the task that is held. ``over``: ids of
    those that were found to be over.
    """
    if isinstance(target, Stop):
        found = [each for each in waiting if each.id == target.id]
        keys = [target.key]
    else:
        keys = _keys_of(target)
        found = [each for each in waiting if each.key in keys]
    found = [each for each in found if each.id not in over]
    if found:
        found = [each for each in found if each.state != "held"] or found
        free = [each for each in found if not each.who]
        return (free or found)[-1]
    named = keys[0] if len(keys) == 1 else keys
    passed = [p for p in waiting.passed if p.example in keys]
    if passed:
        why = f"{named!r} passed its breakpoint: {passed[0].why}"
    elif not waiting.armed:
        why = f"{named!r} does not wait at a breakpoint, and live is off"
    else:
        why = f"{named!r} does not wait at a breakpoint, nor is its failure held"
    hint = f"{advice.call('attach')} lists what waits and what is held"
    if not waiting.armed:
        hint = f"{advice.call('live')} makes breakpoint() stop in tasks"
    raise NotStopped(why, hint, key=keys[0] if keys else None)


def _keys_of(target: Any) -> list[Any]:
    """Keys that a target stands for, also as they are spelled."""
    if is_future(target):
        return [target.key]
    if isinstance(target, (bytes, int, float)):
        return [target]
    if isinstance(target, tuple):
        return [as_key(target)]
    if isinstance(target, str):
        try:
            spelled = [as_key(literal(target))]
        except ValueError:
            spelled = []
        return [target, *spelled]
    if isinstance(target, Sequence):
        return [key for each in target for key in _keys_of(each)]
    if hasattr(type(target), "__dask_graph__"):
        from distributed.client import futures_of

        return [each.key for each in futures_of(target)]
    what = with_article(type(target).__name__)
    hint = "pass a future, a key, or an entry of what attach() lists"
    raise WrongTarget(f"attach() does not take {what}", hint)
