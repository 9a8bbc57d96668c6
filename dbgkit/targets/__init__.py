"""From a target to its failure.

`locate` begins: `resolve` sorts what was handed in, `search` finds the failures.

- From an exception: `tracebacks` (futures, a graph, a task of this process, in its
  frames), `graphs`, `matching` (which task of a graph raised it), `scheduler_texts` and
  `history_entry` (the scheduler's own words for it), `optimizing`, `rewrapped`.
- An exception that no failed task is known of: `without_task` decides what it is, by
  the families `carried`, `runs`, `starting`, `unpicklable`.
- The failure itself: `failure`, `naming`, `origins`, `led`, `modules`.
- Why there is none: `refusals`.
"""
