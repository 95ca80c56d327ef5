"""Files of the user's own: private, written whole, locked, and whose they are."""
