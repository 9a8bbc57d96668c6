"""The client's side of each conversation with a cluster."""
