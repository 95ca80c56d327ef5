"""A hook of MkDocs: takes the pages and notebooks that stand outside of ``docs/`` into the site, and mends their links.

In the site a file of ``docs/`` stands at the top, any other under its own path, and ``README.md`` is the first page.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

PAGES = ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "benchmarks/RESULTS.md")

_LINK = re.compile(r"""((?:\]\(|\bsrc(?:set)?="))([^)#:"\s]+)(?=[)#"])""")
"""The file that a relative link or a picture points at, behind what begins the link."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the notebooks."""
    notebooks = (str(path.relative_to(ROOT)) for path in sorted((ROOT / "notebooks").glob("*.ipynb")))
    for name in (*PAGES, *notebooks):
        files.append(File(name, str(ROOT), config.site_dir, use_directory_urls=False))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point each relative link at where its file stands in the site."""
    here = posixpath.dirname(page.file.src_uri)
    folder = here if page.file.src_uri in PAGES else posixpath.join("docs", here)

    def in_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2])).removeprefix("docs/")
        return link[1] + posixpath.relpath(target, here or ".")

    return _LINK.sub(in_site, markdown)
