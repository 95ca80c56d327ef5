"""What was configured of the magics before there are any, with ``%config``, on a command line or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from traitlets import TraitError
from traitlets.config import Config, Configurable


def refused_values(kind: type[Configurable], config: Config) -> Iterator[tuple[str, str]]:
    """Yield the name of each value that the class refuses, and what traitlets says of it.

    ``%config`` keeps a value in the shell's configuration though the magics have refused it.
    """
    section = cast("dict[str, object]", config.get(kind.__name__, {}))
    for name in kind.class_trait_names(config=True):
        if name in section:
            trial = kind.__new__(kind)  # made without its __init__, which would enter it into the shell
            try:
                trial.update_config(Config({kind.__name__: {name: section[name]}}))
            except TraitError as problem:
                yield name, str(problem)
