"""Whether a site is whole: ``check.py FOLDER`` prints what is wrong, and fails if anything is.

Every link inside it leads to a page and a place on it, every page can be reached from the first one, and no
page fetches anything from elsewhere. Links to other sites are not followed: what they lead to is not ours to
say.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

FIRST = "index.html"
# What a browser follows when it is told to, and what it fetches by itself.
FOLLOWED = {("a", "href"), ("form", "action")}
NOT_FETCHED = {"canonical", "search", "index", "next", "prev", "author"}  # of link: relations alone


class Page(HTMLParser):
    """What a page has and names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        relations = set((dict(attrs).get("rel") or "").split())
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag, name) == ("a", "name"):
                self.places.add(value)
            elif (tag, name) in FOLLOWED or (tag == "link" and name == "href" and relations & NOT_FETCHED):
                self.links.append(value)
            elif name in ("src", "href", "data", "poster"):
                self.fetched.append(value)


def elsewhere(link: str) -> bool:
    """Whether a link leads to another site."""
    parts = urlsplit(link)
    return bool(parts.scheme or parts.netloc)


def target(page: str, link: str) -> tuple[str, str]:
    """The file, as a path from the site's top, and the place on it that a link on a page leads to."""
    parts = urlsplit(link)
    path = unquote(parts.path)
    return normpath(join(dirname(page), path)) if path else page, unquote(parts.fragment)


def wrong_links(pages: dict[str, Page], files: set[str]) -> Iterator[str]:
    """A sentence for each link that leads nowhere.

    Args:
        pages: by their path from the site's top.
        files: all files of the site.
    """
    for name, page in pages.items():
        for link in (*page.links, *page.fetched):
            if elsewhere(link):
                continue
            file, place = target(name, link)
            if file not in files:
                yield f"{name}: the link {link!r} leads to no file"
            elif place and file in pages and place not in pages[file].places:
                yield f"{name}: the link {link!r} leads to no place on {file}"


def unreachable(pages: dict[str, Page]) -> Iterator[str]:
    """A sentence for each page that no chain of links leads to from the first one."""
    reached: set[str] = set()
    ahead = [FIRST]
    while ahead:
        name = ahead.pop()
        if name in reached or name not in pages:
            continue
        reached.add(name)
        ahead += [target(name, link)[0] for link in pages[name].links if not elsewhere(link)]
    for name in sorted(pages.keys() - reached):
        yield f"{name}: no link leads to it"


def foreign(pages: dict[str, Page], styles: dict[str, str]) -> Iterator[str]:
    """A sentence for each thing that a page or a style sheet has a browser fetch from elsewhere."""
    for name, page in pages.items():
        for link in page.fetched:
            if elsewhere(link) and not link.startswith("data:"):
                yield f"{name}: {link!r} is fetched from elsewhere"
    for name, text in styles.items():
        for link in re.findall(r"""(?:url\(|@import)\s*['"]?((?:https?:)?//[^'")\s]+)""", text):
            yield f"{name}: {link!r} is fetched from elsewhere"


def problems(site: Path) -> list[str]:
    """All that is wrong with a site."""
    files = {file.relative_to(site).as_posix() for file in site.rglob("*") if file.is_file()}
    pages = {name: Page((site / name).read_text()) for name in sorted(files) if name.endswith(".html")}
    styles = {name: (site / name).read_text() for name in sorted(files) if name.endswith(".css")}
    return [*wrong_links(pages, files), *unreachable(pages), *foreign(pages, styles)]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))
