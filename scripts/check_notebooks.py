"""Check that the outputs in a notebook are those of one run from the top, and that it keeps to itself.

No machine's paths may be in it, and what it saves must go to a folder of its own: a reader's profiles are the reader's.

    python scripts/check_notebooks.py [notebook ...]

Whether the code gives these outputs is what ``make notebooks`` checks.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SAVES = re.compile(r"llx_profile.*\b(?:save|delete|set-default)\b")
OWN_FOLDER = 'os.environ["LLXPRT_CONFIG_HOME"] = tempfile.mkdtemp()'
LOCAL = re.compile(r"/(?:home|root|Users)/\w|[A-Z]:\\\\+Users")


def faults(path: Path) -> list[str]:
    """Return a line for each thing that is wrong with the notebook's outputs."""
    text = path.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    found = []
    if [cell["execution_count"] for cell in cells] != list(range(1, len(cells) + 1)):
        found.append(f"{path.name}: its cells were not run once each, from the top")
    source = "\n".join("".join(cell["source"]) for cell in cells)
    if (saves := SAVES.search(source)) and OWN_FOLDER not in source[: saves.start()]:
        found.append(f"{path.name}: saves profiles among the reader's own; begin with {OWN_FOLDER}")
    if local := LOCAL.search(text):
        found.append(f"{path.name}: names a folder of one machine: {local[0]}")
    return found


def main() -> int:
    """Check the notebooks that are named, or all of them."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb"))
    found = [line for path in paths for line in faults(path)]
    print("\n".join(found) or f"{len(paths)} notebooks: fine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
