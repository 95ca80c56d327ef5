"""The magics, and everything else that knows IPython."""
