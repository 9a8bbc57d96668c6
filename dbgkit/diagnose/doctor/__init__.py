"""Is a cluster fit for debugging: from facts to findings."""
