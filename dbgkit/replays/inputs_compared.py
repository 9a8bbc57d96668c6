"""Are a replay's inputs those that the task failed on? By bounded fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import held_recordings, left_behind
from dbgkit.model import Failure, Recording
from dbgkit.remote.common.sentences import several
from dbgkit.replays.outcome import causes_known
from dbgkit.replays.wording import alike
from dbgkit.targets.naming import recorded_name

SECONDS = 0.2  # for all inputs of a replay


def recorded_failure(link: Link | None, failure: Failure) -> Recording | None:
    """The newest recording of a failure that has content; one call to the scheduler.

    If the recorder or the cluster is gone, what was kept of it in this process.
    """
    if failure.key is None:
        return None
    if link is not None:
        held = held_recordings(link, [failure.key], 5, recorded_name)
        if held.since is not None:
            return next((each for each in held.recordings if each.frames), None)
    return left_behind(failure.key, failure.when)


def with_causes(failure: Failure, recording: Recording | None) -> Failure:
    """The failure with its recording, if only that shows its causes.

    A recording of another failure of the task, an earlier attempt for example, says
    nothing about this one.
    """
    if recording is None or causes_known(failure):
        return failure
    from dbgkit.remote.secrets.redact import redact_text

    message = redact_text(failure.message, extra=recording.secret_names)
    of_it = recording.exception_type == failure.exception_type
    if not of_it or not alike({recording.message}, {message}):
        return failure
    return replace(failure, evidence=replace(failure.evidence, recording=recording))


def changed_note(key: Any) -> str:
    """What to say of an input that is another after the run."""
    return (
        f"the task changes its input {key!r} in place: on the worker it had already "
        "been changed, so this run began with other values"
    )


class InputComparison:
    """Compares the inputs of one run with those recorded.

    They were recorded after the task had failed, perhaps changed by it in place, so
    they are compared both as before the run and as after it.
    """

    def __init__(self, recording: Recording | None) -> None:
        inputs = recording.inputs if recording is not None else ()
        self._then = {each.key: [each.type, each.digest, each.whole] for each in inputs}
        self.verdicts: dict[Any, str] = {}

    def compare_values(self, values: Mapping[Any, Any]) -> None:
        """Compare the values as they are now; a verdict of ``"same"`` stays."""
        wanted = {
            key: value
            for key, value in values.items()
            if key in self._then and self.verdicts.get(key) != "same"
        }
        if wanted:
            from dbgkit.remote.values.fingerprints import fingerprints

            self.compare_prints(fingerprints(wanted, SECONDS))

    @property
    def wanted(self) -> list[Any]:
        """Keys of the inputs that have a recorded fingerprint."""
        return list(self._then)

    def compare_prints(self, prints: Iterable[Sequence[Any]]) -> None:
        """Compare fingerprints, which may be taken in another process."""
        if not self._then:
            return
        from dbgkit.remote.values.fingerprints import compare

        for key, *now in prints:
            if key in self._then and self.verdicts.get(key) != "same":
                self.verdicts[key] = compare(self._then[key], now)

    def notes(self) -> list[str]:
        """Notes on the result."""
        changed = [key for key, word in self.verdicts.items() if word == "different"]
        if changed:
            names = several(map(repr, changed), most=3)
            return [f"inputs differ from those recorded when it failed: {names}"]
        if self.verdicts and set(self.verdicts.values()) == {"same"}:
            return ["the inputs are those recorded when it failed"]
        return []
