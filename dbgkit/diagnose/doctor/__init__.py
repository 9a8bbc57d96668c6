"""Whether a cluster is fit for debugging: findings from facts."""
