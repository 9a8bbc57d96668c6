"""What runs inside nannies, which they are sent as source."""
