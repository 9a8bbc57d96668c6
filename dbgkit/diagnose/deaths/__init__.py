"""Why workers died: verdicts from what is known about their ends."""
