"""How Sphinx makes a site of the pages in docs/: ``./dev docs``.

The pages are written to be read as files too, so what a site alone needs is added here: README and
CONTRIBUTING, which lie at the top of the repository, become pages, links hold wherever a page is, and
the decisions get their place in the contents. Whether the site is whole is for ``check.py`` to say.
"""

import inspect
import re
import tomllib
from collections.abc import Callable, Iterable
from os.path import relpath
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Files outside docs/ that are pages of the site, and where.
ELSEWHERE = {ROOT / "README.md": DOCS / "index.md", ROOT / "CONTRIBUTING.md": DOCS / "contributing.md"}
DECISIONS = "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"

project = "RabbitKeeper"
author = "The RabbitKeeper authors"
project_copyright = author
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["site"]
myst_heading_anchors = 4  # the same as GitHub's
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autoclass_content = "class"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"RabbitKeeper {release}"
html_favicon = html_logo = str(ROOT / "agent" / "dashboard" / "static" / "mark.svg")
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_domain_indices = False


def relinked(text: str, page: Path, place: Path) -> str:
    """A page's text with its links as they hold at its place on the site.

    Args:
        text: Markdown.
        page: where the file is.
        place: where Sphinx takes it to be.
    """

    def link(match: re.Match[str]) -> str:
        path, anchor = match.groups(default="")
        target = (page.parent / path).resolve()
        return f"]({relpath(ELSEWHERE.get(target, target), place.parent)}{anchor})"

    return re.sub(r"\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)", link, text)


def place_on_site(_app: object, name: str, source: list[str]) -> None:
    """Change what Sphinx has read of a page, before it is parsed."""
    place = DOCS / f"{name}.md"
    page = {there: here for here, there in ELSEWHERE.items()}.get(place)
    if page is None:
        source[0] = relinked(source[0], place, place)
    else:
        source[0] = relinked(page.read_text(), page, place) + "\n" + source[0]
    if name == "decisions/README":
        source[0] += DECISIONS


def told_by_comments(fields: Iterable[str], source: str) -> list[str]:
    """What is said of fields in comments behind them, as a section of a docstring.

    Args:
        fields: their names.
        source: of their class.
    """
    one_line_each = re.sub(r"\n +# ", " ", source)
    comments = re.findall(r"^    (\w+): .*?  # (.+)$", one_line_each, re.MULTILINE)
    told = [f"    {name}: {comment}." for name, comment in comments if name in fields]
    return ["", "Attributes:", *told, ""] if told else []


def add_fields(
    _app: object, _kind: str, _name: str, what: object, _options: object, lines: list[str]
) -> None:
    """Change a docstring before it is parsed."""
    if isinstance(what, type) and hasattr(what, "__annotations__") and "Attributes:" not in lines:
        lines += told_by_comments(what.__annotations__, inspect.getsource(what))


class Sphinx(Protocol):
    """What is used of Sphinx, which is not where types are checked."""

    def connect(self, event: str, callback: Callable[..., None], priority: int = 500) -> int:
        """Have a function called at an event; of two the one with the lower priority first."""
        ...


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", place_on_site)
    before_napoleon = 400
    app.connect("autodoc-process-docstring", add_fields, before_napoleon)
