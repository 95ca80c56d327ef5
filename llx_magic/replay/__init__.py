"""What a history would have been under other settings, and what a team would do to shared backends."""
