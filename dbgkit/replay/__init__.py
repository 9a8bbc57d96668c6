"""From a failure to a replay: inputs, the call, ancestors, a process of its own."""

from dbgkit.replay.replaying import execute, live_post_mortem, prepare
from dbgkit.replay.result import Replay

__all__ = ["Replay", "execute", "live_post_mortem", "prepare"]
