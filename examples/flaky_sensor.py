"""A failure that does not happen again when one looks: it is read off its recording.

Of a few hundred readings one comes out of the sensor as zero, once. A replay passes,
as the sensor is asked anew. The recorder has what the worker saw: type::

    dbgkit run examples/flaky_sensor.py

The report says that the replay passed, and then the prompt is in the recording, in
``normalise``: ``p reading`` for what the sensor gave, ``p history`` for what came
before it, ``w``, ``q``. Nothing is run again at this prompt.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from distributed import Client, LocalCluster

import dbgkit


def ask_sensor(number, failed_once):
    """A reading; the 137th is lost the first time that it is asked for."""
    if number == 137 and not failed_once.exists():
        failed_once.touch()
        return 0
    return 20 + number % 7


def normalise(number, failed_once):
    history = [20 + n % 7 for n in range(max(0, number - 3), number)]
    reading = ask_sensor(number, failed_once)
    return sum(history) / reading


def main():
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        dbgkit.record(),
    ):
        failed_once = Path(folder) / "failed-once"
        futures = client.map(
            normalise, range(300), failed_once=failed_once, key="normalise"
        )
        print(sum(client.gather(futures)))


if __name__ == "__main__":
    main()
