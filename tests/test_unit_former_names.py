"""Names of the last release: they still work, and warn."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone

import pytest

from dbgkit.model import Failure, Moment, RunningTask, Timeline

NOW = datetime.now(timezone.utc)
FOUND = [
    Failure("k", "k", "ValueError", "", found_in="graph"),
    Moment(NOW, "scheduler", "released -> waiting"),
    RunningTask("k", found_in="heartbeat"),
]
each_of_them = pytest.mark.parametrize("found", FOUND, ids=lambda x: type(x).__name__)


@each_of_them
def test_source_is_found_in(found):
    with pytest.warns(DeprecationWarning, match="found_in"):
        assert found.source == found.found_in


@each_of_them
def test_what_was_pickled_under_the_former_name_can_be_read(found):
    former = {**vars(found), "source": found.found_in}
    del former["found_in"]
    read = object.__new__(type(found))
    read.__setstate__(former)
    assert read == found == pickle.loads(pickle.dumps(found))


def test_fields_of_json_have_the_names_that_they_had():
    failure, moment, task = FOUND
    assert failure.to_json()["found_in"] == "graph"
    (told,) = Timeline("k", (moment,)).to_json()["moments"]
    assert told == {
        "when": NOW.isoformat(),
        "source": "scheduler",
        "what": "released -> waiting",
        "detail": "",
    }
    assert task.to_json()["source"] == "heartbeat"
    assert "found_in" not in task.to_json()
