"""Prompt cells that always get a whole answer from the best backend that is up, and show you why."""
