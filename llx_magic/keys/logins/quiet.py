"""Keeps what libraries log while they read secrets out of everybody's logs: at DEBUG they write whole replies."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

_LIBRARIES = frozenset({"azure", "boto3", "botocore", "google", "msal", "requests", "urllib3"})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what this thread logs through the loggers of these libraries, of those modules that are imported."""
    thread = threading.get_ident()

    def is_of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    known = logging.Logger.manager.loggerDict
    loggers = [logging.getLogger(name) for name in list(known) if name.partition(".")[0] in _LIBRARIES]
    for each in loggers:
        each.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(is_of_another_thread)
