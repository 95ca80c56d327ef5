"""Models that can answer: a request to bytes, and bytes to text."""
