"""What this process has found out about an endpoint from its refusals: what it does not take, and on which path."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from llx_magic.backends.endpoint import Endpoint
    from llx_magic.core.reply import Answer

_NO_SUCH_PATH = frozenset({404, 405})
"""405 is what a server of files says to a POST, wherever it goes."""

_WORDS_FOR_IT = re.compile(r"unexpected endpoint or method|a web page instead of a reply", re.IGNORECASE)
"""What LM Studio says under status 200 (lmstudio-ai/lmstudio-bug-tracker), and what comes of a front page."""


@dataclass(slots=True)
class Findings:
    """What is known of one endpoint, by all backends that ask it in the same form.

    ``refused`` holds the form's names of what is left out. ``is_versioned`` says whether prompts are taken only below
    a version that the base URL lacks (``/v1``); None until a server that did not know the path was asked there, too.
    """

    refused: frozenset[str] = frozenset()
    is_versioned: bool | None = None

    def may_be_below_a_version(self, failure: Failure) -> bool:
        """Return whether to ask once more there after a failure that says that the path is unknown."""
        return self.is_versioned is None and _is_no_such_path(failure)

    def settle(self, first: Failure, second: Answer | Failure) -> Answer | Failure:
        """Return what counts of both, and note where the server takes prompts, as far as the second tells."""
        if isinstance(second, Failure):
            if _is_no_such_path(second):
                self.is_versioned = False
                return first
            if second.status is None:
                return second  # no word from the server: it may be either way
        self.is_versioned = True
        return second

    def with_path(self, failure: Failure, plain: str, versioned: str) -> Failure:
        """Return the failure with the path that was asked in its message, where the server may not have known it."""
        if failure.status not in _NO_SUCH_PATH or failure.kind is FailureKind.NOT_SENT:
            return failure
        if self.is_versioned is False:
            return replace(failure, message=f"{failure.message} (there is neither {plain} nor {versioned})")
        return replace(failure, message=f"{failure.message} (asked for {versioned if self.is_versioned else plain})")


def _is_no_such_path(failure: Failure) -> bool:
    return failure.status in _NO_SUCH_PATH or _WORDS_FOR_IT.search(failure.message) is not None


@functools.cache
def findings_of(endpoint: Endpoint, wire: type) -> Findings:
    """Return what is known of an endpoint in a wire form."""
    return Findings()
