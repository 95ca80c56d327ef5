"""What every wire form shares when it reads a reply: no I/O, no clock, and nothing of one form alone."""
