"""Tasks of a collective: all of them wait for a tracker, whose address they get."""

from __future__ import annotations

import socket
import threading
import uuid
from functools import partial
from pathlib import Path

from watching import wait_until


class Tracker:
    """Takes connections; answers as long as it lives, and then never."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.alive = True
        self._taken = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            self._taken.append(taken)
            if self.alive:
                taken.sendall(b"2")

    @property
    def address(self):
        """What tasks are given, as ``xgboost.dask`` does."""
        uri, port = self._socket.getsockname()
        return {"dmlc_tracker_uri": uri, "dmlc_tracker_port": port}

    def close(self):
        self._socket.close()
        for taken in self._taken:
            taken.close()


def world_size(**collective):
    """How many there are: asks the tracker if there is one, and waits for it."""
    if "dmlc_tracker_uri" not in collective:
        return 1
    address = collective["dmlc_tracker_uri"], collective["dmlc_tracker_port"]
    with socket.create_connection(address) as connection:
        return int(connection.recv(1))


def score(share, epoch):
    """The user's callback."""
    limit = share - epoch
    return 1 / limit


def train(params, collective, share):
    """One task of a training."""
    world_size(**collective)
    return [score(share, epoch) for epoch in range(params["rounds"])]


def train_by_name(share, *, params=None, collective=None):
    """As `train`, with the address among keywords."""
    return train(params, collective, share)


def train_nested(share, options):
    """As `train`, with the address further in."""
    return train(options["params"], options["collective"], share)


def of_size(share, collective):
    """Fails in a collective of several only."""
    if world_size(**collective) > 1:
        raise LookupError(f"no share for {share}")
    return share


def of_size_two():
    """Fails otherwise than `score`."""
    raise LookupError("no share")


class XGBoostError(Exception):
    """As XGBoost's own."""


def fall():
    """What the others of a collective raise, as one of them fails."""
    raise XGBoostError(
        "[02:05:21] /__w/xgboost/xgboost/src/collective/result.cc:83: Allreduce failed"
    )


def take_part(folder, name, call):
    """One of a collective, which runs until it is told to go on.

    Parameters
    ----------
    folder : str
        Where files tell what has begun, and what may go on.
    call : tuple
        What comes of it: a function and its arguments.
    """
    Path(folder, f"{name}.begun").touch()
    wait_until(Path(folder, f"{name}.go").exists, f"{name} may go on")
    function, *args = call
    return function(*args)


class Training:
    """Tasks that run at the same time, and fail one by one as they are told to.

    Their keys are as those of ``xgboost.dask``.
    """

    def __init__(self, client, folder, *calls, submit=True):
        self.client = client
        self.folder = str(folder)
        self.calls = {f"fn-{uuid.uuid4()}": call for call in calls}
        self.keys = list(self.calls)
        self.futures = []
        if submit:
            self.futures = [
                client.submit(take_part, *args, key=args[1], pure=False)
                for args in self.arguments()
            ]
            self.have_begun()

    def arguments(self):
        """What each task is called with."""
        return [(self.folder, key, call) for key, call in self.calls.items()]

    def have_begun(self):
        begun = [Path(self.folder, f"{key}.begun") for key in self.keys]
        wait_until(lambda: all(map(Path.exists, begun)), "all have begun")

    def go_on(self, number):
        """Have one go on, and do not wait for it."""
        Path(self.folder, f"{self.keys[number]}.go").touch()

    def fail(self, *numbers):
        """Have them fail in this order, as it is heard of on the scheduler."""
        for number in numbers:
            self.go_on(number)
            heard = partial(self._heard, self.keys[number])
            wait_until(heard, f"the failure of {number} is heard of")
        return self

    def _heard(self, key):
        return self.client.run_on_scheduler(failed_keys).count(key)

    def gather(self):
        """A task that needs all of them, as ``xgboost.dask`` has it."""
        return self.client.submit(list, self.futures, key=f"first-{uuid.uuid4()}")


def failed_keys(dask_scheduler):
    return [entry.key for entry in dask_scheduler.erred_tasks]
