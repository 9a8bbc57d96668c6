"""From what a cluster says to what it means."""
