"""What runs inside schedulers, workers and children: it imports nothing of ours."""
