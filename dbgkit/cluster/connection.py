"""The scheduler that a client is connected to, and whether it is the same one still.

Dask's client reconnects by itself, to whatever listens at the address by then; a
restarted scheduler knows nothing of what the previous one was asked.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING

from distributed.comm import CommClosedError

from dbgkit.errors import SchedulerGone

if TYPE_CHECKING:
    from distributed import Client

# Seconds for a client that has lost its scheduler. It tries again after up to as long
# as that was away (distributed/comm/core.py, connect), and one starts within two.
RECONNECTING = 5.0
NOTICING = 0.5  # seconds until a client sees that all its connections were cut
_LOOK = 0.02  # seconds between two checks

RESUBMIT = (
    "submit the work again, or pass the exception that it raised: what its "
    "traceback still holds may be enough"
)


class Connection:
    """One client's connection to one scheduler: that of the first time it is used.

    `scheduler` is its id; empty until then.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.scheduler = ""

    def check(self, limit: float) -> None:
        """Wait until a lost connection is back; each call costs nothing while it is up.

        ``limit``: seconds that it may take, at most five.

        Raises
        ------
        SchedulerGone
            It does not come back, or another scheduler is there by now.
        """
        if self.client.status == "connecting":
            self._wait_while("connecting", min(limit, RECONNECTING))
        if self.client.status in ("connecting", "closing", "closed"):
            raise SchedulerGone(
                "the connection to the scheduler is lost (the client is "
                f"{self.client.status})",
                "check whether the scheduler still runs, and connect a new Client",
            )
        found = scheduler_id(self.client)
        self.scheduler = self.scheduler or found
        if found and found != self.scheduler:
            raise SchedulerGone(
                f"the scheduler at {address_of(self.client)} was restarted during "
                "this call: its tasks, and all else that it knew, are gone",
                RESUBMIT,
            )

    def check_cut(self, limit: float) -> bool:
        """As `check`, after an answer did not arrive because a connection was cut.

        Says whether the client had lost its scheduler, which is back.
        """
        self._wait_while("running", min(limit, NOTICING))
        lost: bool = self.client.status != "running"
        self.check(limit)
        return lost

    def _wait_while(self, status: str, limit: float) -> None:
        """Wait while a client has a status, and is connected to no other scheduler."""
        before, end = scheduler_id(self.client), monotonic() + limit
        while self.client.status == status and monotonic() < end:
            if status == "running" and scheduler_id(self.client) != before:
                return
            sleep(_LOOK)


def address_of(client: Client) -> str:
    """Address of the scheduler that a client is connected to.

    `CommClosedError` if the client has closed, as it does where it could not connect
    again in its time limit.
    """
    scheduler = client.scheduler
    if scheduler is None:
        raise CommClosedError("the client is closed")
    return str(scheduler.address)


def scheduler_id(client: Client) -> str:
    """Id of the scheduler that a client is connected to; empty if it is closed.

    ``Client._scheduler_identity`` (distributed/client.py) is set anew on each
    connection; ``scheduler_info`` may ask the scheduler.
    """
    return str(client._scheduler_identity.get("id", ""))


def scheduler_started(client: Client) -> float:
    """When that scheduler has started, by its own clock; 0 if it is not known."""
    return float(client._scheduler_identity.get("started") or 0)
