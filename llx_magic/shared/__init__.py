"""Facts that processes tell each other through a server of Redis: who is asked is decided elsewhere."""
