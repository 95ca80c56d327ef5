"""The one declaration of every provider, and what a pasted address means."""
