"""From a target to its failure."""
