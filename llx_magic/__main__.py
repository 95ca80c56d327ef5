"""``python -m llx_magic`` is the ``llx`` command."""

from __future__ import annotations

import sys

from llx_magic.cli import main

sys.exit(main())
