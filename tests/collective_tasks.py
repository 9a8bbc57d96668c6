"""Tasks of a collective: all of them wait for a tracker, whose address they get."""

from __future__ import annotations

import socket
import threading


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
