"""One failure, recorded: its frames with source and bounded locals.

Nothing of what it makes refers to the user's objects.
"""

from __future__ import annotations

import linecache
import traceback
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from time import perf_counter, time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..common.codes import file_of_frame, fingerprint, is_dynamic, marked
from ..common.exceptions import ancestry, descent, traceback_of
from ..common.frames import Place, is_machinery, own_index, walk
from ..common.objects import class_name
from ..common.texts import signature
from ..secrets.redact import MARGIN, environment_secrets, redact_cut, redact_text
from ..values.fingerprints import fingerprints
from ..values.keep import NOT_KEPT, keep
from ..values.summarize import (
    NAME,
    Budget,
    message_of,
    pick_places,
    place_of,
    summarize_places,
)
from .origins import worded
from .packing import FORMAT, raw_of

if TYPE_CHECKING:
    from ..common.wire_failures import OriginForm
    from ..common.wire_recordings import CauseForm, Content, RecorderSettings

_MESSAGE = 2_000  # characters, as raised.LONGEST_CAUSE
_TRACEBACK = 20_000
_LINE = 240  # of its source lines
_AROUND = 40  # what else there is of a frame in it
_ENTRIES = 100  # of a traceback as text
MOST_CAUSES = 8  # members of groups among them
COUNTED = 1_000  # of those beyond
_LONG = 10_000  # exceptions of a chain: of one that is longer no root is kept
_Step = tuple[str, int, BaseException]  # how it follows, index of from what, itself


@dataclass(frozen=True)
class Limits:
    """How much one recording may take."""

    seconds: float = 0.1  # for all frames together
    nbytes: int = 256_000  # of the recording as it is sent, compressed
    kept: int = 4_096  # bytes of one value that comes along whole
    kept_in_all: int = 65_536
    frames: int = 30
    locals: int = 40  # of one frame
    repeats: int = 10  # recordings of one kind on one worker; later ones are short
    secret_names: tuple[str, ...] = ()  # to hide besides the usual ones

    @classmethod
    def from_wire(cls, wire: RecorderSettings) -> Limits:
        settings: Any = wire
        return cls(**{**settings, "secret_names": tuple(wire.get("secret_names", ()))})


def kind_of(exception: BaseException, limits: Limits = Limits()) -> str:
    """What makes failures one kind: class, message without numbers, own line."""
    return _kind_of(exception, _budget(limits, short=True))


def _kind_of(exception: BaseException, budget: Budget) -> str:
    message = _hide(message_of(exception, budget), budget, 200)
    place = _own_place(traceback_of(exception))
    return repr(signature(_class_name(exception), message, place))


def type_and_words(exception: BaseException, limits: Limits, length: int) -> str:
    """``SystemExit: 3``, secrets hidden; nothing of the user's own is called."""
    budget = _budget(limits, short=True)
    message = _hide(message_of(exception, budget), budget, length)
    return ": ".join(filter(None, [_class_name(exception), message]))[:length]


def hide_secrets(text: str, limits: Limits, length: int) -> str:
    """The beginning of a text, with secrets hidden before it was cut."""
    return _hide(text, _budget(limits, short=True), length)


def _hide(text: str, budget: Budget, length: int) -> str:
    names, values = budget.secret_names, budget.secret_values
    return redact_cut(text, length, extra=names, values=values)[0]


def take(
    exception: BaseException,
    limits: Limits,
    *,
    short: bool,
    inputs: Mapping[Any, Any] = MappingProxyType({}),
    origins: Sequence[OriginForm] = (),
) -> Content:
    """What is to be recorded of an exception with live frames, in builtin types.

    Where it is to be ``short``, the frame that failed only, and no value whole. Of each
    of the task's inputs, which come by key, there is a fingerprint.
    """
    start = perf_counter()
    budget = _budget(limits, short)
    whole = traceback_of(exception)
    places = pick_places(
        _innermost(whole) if short else whole, 1 if short else limits.frames
    )
    # What takes longest comes first; each part leaves some of the time to the next.
    frames = summarize_places(
        places,
        max_locals=limits.locals // 2 if short else limits.locals,
        seconds=limits.seconds * 0.5,
        budget=budget,
    )
    deadline = start + limits.seconds * 0.7
    kept = []
    if not short:
        kept = _keep_locals(places, limits, limits.kept_in_all, budget, deadline)
    causes, more = _causes(
        exception, limits, budget, short, start + limits.seconds * 0.85
    )
    return {
        "format": FORMAT,
        "kind": _kind_of(exception, budget),
        "exception_type": _class_name(exception),
        "message": _hide(message_of(exception, budget), budget, _MESSAGE),
        "traceback_text": _traceback(whole, budget),
        "frames": frames,
        "kept": kept,
        "causes": causes,
        "more_causes": more,
        "inputs": fingerprints(inputs, limits.seconds / 3),
        "came_from": [
            {
                **worded(one, extra=budget.secret_names, values=budget.secret_values),
                "key": None,
            }
            for one in origins
        ],
        "short": short,
        "secret_names": list(limits.secret_names),
        "when": time(),
        "seconds": perf_counter() - start,
    }


def _budget(limits: Limits, short: bool) -> Budget:
    """For each local."""
    return Budget(
        seconds=limits.seconds / 4,
        chars=400 if short else 1_200,
        string=200 if short else 600,
        items=8 if short else 20,
        visits=80 if short else 200,
        depth=4,
        secret_names=limits.secret_names,
        secret_values=environment_secrets(limits.secret_names),
    )


def _class_name(exception: BaseException) -> str:
    return str(class_name(type(exception))[:200])


def _traceback(tb: types.TracebackType | None, budget: Budget) -> str:
    """The frames as text, as Dask formats them: no machinery around the user's own.

    Of many, or long ones, the outermost and the innermost.
    """
    places = [place for place in walk(tb) if not is_machinery(file_of_frame(place[0]))]
    for filename in {place[0].f_code.co_filename for place in places}:
        linecache.checkcache(filename)
    last = _entries(places[::-1], _ENTRIES * 2 // 3 + 1, _TRACEBACK * 2 // 3, budget)
    rest = places[: len(places) - len(last)]
    first = _entries(rest, _ENTRIES // 3, _TRACEBACK // 3, budget)
    gap = len(rest) - len(first)
    parts = [
        *traceback.StackSummary.from_list(first).format(),
        *([f"  … {gap:,} more frames\n"] if gap else []),
        *traceback.StackSummary.from_list(last[::-1]).format(),
    ]
    return "".join(parts).rstrip("\n")


def _entries(
    places: list[Place], most: int, chars: int, budget: Budget
) -> list[traceback.FrameSummary]:
    """The first of some frames, as many as fit; secrets hidden."""
    names, values = budget.secret_names, budget.secret_values

    @cache  # a recursion's frames are of few lines
    def hide(text: str) -> str:
        return redact_text(text, bare=False, extra=names, values=values)

    found: list[traceback.FrameSummary] = []
    for frame, lineno in places[:most]:
        filename, lineno, function = place_of(frame, lineno)
        # Cut before anything else: a line may be as long as its file.
        line = linecache.getline(filename, lineno, frame.f_globals)[: _LINE + MARGIN]
        line = hide(line.strip())
        line = line[:_LINE] + ("…" if len(line) > _LINE else "")
        filename = hide(filename)
        chars -= len(filename) + len(function) + len(line) + _AROUND
        if chars < 0 and found:
            break
        found.append(
            traceback.FrameSummary(
                filename, lineno, function, lookup_line=False, line=line
            )
        )
    return found


def _own_place(tb: types.TracebackType | None) -> tuple[str, int, str] | None:
    """The innermost line of the user's own; without a file, its code stands for it."""
    places = list(walk(tb))
    index = own_index([file_of_frame(frame) for frame, _ in places])
    if index is None:
        return None
    filename, lineno, function = place_of(*places[index])
    if is_dynamic(filename):
        filename = marked(fingerprint(places[index][0].f_code))
    return filename, lineno, function


def _innermost(tb: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback from the innermost frame of the user's own on."""
    places = []
    while tb is not None:
        places.append(tb)
        tb = tb.tb_next
    if not places:
        return None
    index = own_index([file_of_frame(each.tb_frame) for each in places])
    found = places[-1 if index is None else index]
    return types.TracebackType(None, found.tb_frame, found.tb_lasti, found.tb_lineno)


def _causes(
    exception: BaseException,
    limits: Limits,
    budget: Budget,
    short: bool,
    deadline: float,
) -> tuple[list[CauseForm], int]:
    """What it was raised from, and members of groups, each with its own frame.

    The nearest, and the root of a chain that is cut; and how many more there are.
    """
    found: list[CauseForm] = []
    most = 1 if short else MOST_CAUSES
    linked = list(islice(descent(exception), most + COUNTED))
    nearest = linked[:most]
    if len(linked) > most > 1:
        nearest = _with_root(exception, nearest)
    for how, parent, error in nearest:
        places = pick_places(_innermost(traceback_of(error)), 1)
        frames = summarize_places(
            places,
            max_locals=limits.locals // 2,
            seconds=max(0.0, deadline - perf_counter()) / 3,
            budget=budget,
        )
        kept = []
        if not short:
            share = limits.kept_in_all // MOST_CAUSES
            kept = _keep_locals(places, limits, share, budget, deadline)
        found.append(
            {
                "how": how,
                "parent": parent,
                "exception_type": _class_name(error),
                "message": _hide(message_of(error, budget), budget, _MESSAGE),
                "frames": frames,
                "kept": kept,
            }
        )
    return found, len(linked) - len(found)


def _with_root(exception: BaseException, nearest: list[_Step]) -> list[_Step]:
    """The nearest; if a chain is cut, its end in place of the last of them.

    It is linked to the last one of its chain that is kept.
    """
    kept = nearest[:-1]
    indices = {id(error): index for index, (_, _, error) in enumerate(kept)}
    shown = {id(exception), *(id(error) for _, _, error in nearest)}
    for start, parent in ((exception, -1), (kept[-1][2], len(kept) - 1)):
        line = ancestry(start, _LONG)
        for _, error in line:
            parent = indices.get(id(error), parent)
        if 0 < len(line) < _LONG and id(line[-1][1]) not in shown:
            how, root = line[-1]
            return [*kept, (how, parent, root)]
    return nearest


def _keep_locals(
    places: Sequence[Place | int],
    limits: Limits,
    left: int,
    budget: Budget,
    deadline: float,
) -> list[list[Any]]:
    """``[index of the frame, name, value]`` of small locals, innermost frames first.

    Of at most ``left`` bytes, and until ``deadline``, by `time.perf_counter`.
    """
    kept: list[list[Any]] = []
    for index, place in reversed([*enumerate(places)]):
        if isinstance(place, int):
            continue
        code = place[0].f_code
        if is_machinery(file_of_frame(place[0])) or code.co_flags & _OPTIMIZED == 0:
            continue
        for name, value in list(place[0].f_locals.items())[: limits.locals]:
            if left <= 0 or perf_counter() > deadline:
                return kept
            if len(name) > NAME:
                continue  # another one may begin alike
            limit = min(limits.kept, left)
            one = keep(value, limit, name, budget.secret_names, budget.secret_values)
            if one is not NOT_KEPT:
                kept.append([index, name, one])
                left -= len(raw_of(one))
    return kept


_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the locals are the frame's own
