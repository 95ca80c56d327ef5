"""Writes the parts of the documentation that are made from the code: ``python scripts/make_docs.py [--check]``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from llx_magic.observe.lines import reference
from llx_magic.profiles.schema import profile_schema
from llx_magic.providers.table import PROVIDERS
from llx_magic.settings.help import markdown_table

ROOT = Path(__file__).resolve().parent.parent


def providers_table() -> str:
    """Return the README's table of providers."""
    lines = ["| provider | base URL | key variable | |", "|---|---|---|---|"]
    for known in PROVIDERS.values():
        url = f"`{known.base_url}`" if known.base_url else ""
        variable = f"`{known.key_variable}`" if known.key_variable else ""
        lines.append(f"| `{known.name}` | {url} | {variable} | {known.note} |")
    return "\n".join(lines)


def fresh() -> dict[Path, str]:
    """Return each document as it should be."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, table in (("providers", providers_table()), ("settings", markdown_table())):
        block = f"<!-- {name} -->\n{table}\n<!-- /{name} -->"
        readme = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _match: block, readme, flags=re.DOTALL)  # noqa: B023
    schema = json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n"
    docs = ROOT / "docs"
    return {ROOT / "README.md": readme, docs / "debug-lines.md": reference(), docs / "profile.schema.json": schema}


def main() -> int:
    """Write, or with ``--check`` say which are stale."""
    stale = [path for path, text in fresh().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: make docs")
        return bool(stale)
    for path in stale:
        path.write_text(fresh()[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
