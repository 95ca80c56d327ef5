"""How a profile is, in words: a sentence, and a line for each backend."""
