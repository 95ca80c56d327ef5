"""Facts that several processes share, through a real server of Redis on this machine."""
