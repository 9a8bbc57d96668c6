"""Why workers died: from what is known of their ends to verdicts."""
