"""The site of docs/: what is done to pages to make it, and that what is wrong with one is found."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.source_tree import ROOT

from rabbitkeeper import client

DOCS = ROOT / "docs"
CHECK = DOCS / "site" / "check.py"
making = runpy.run_path(str(DOCS / "site" / "conf.py"))
problems = runpy.run_path(str(CHECK))["problems"]

WHOLE = {
    "index.html": '<link rel="stylesheet" href="_static/a.css?v=1"><a href="docs/a%20b.html#top">…</a>'
    '<form action="search.html"></form><a href="https://elsewhere.example/">…</a>',
    "docs/a b.html": '<h1 id="top">…</h1><a href="../index.html">…</a><a href="#top">…</a><a href="#">…</a>'
    '<img src="../mark.svg"><img src="data:image/png;base64,AA==">',
    "search.html": '<script src="_static/a.js"></script>',
    "_static/a.css": "a { background: url(b.png) }",
    "_static/a.js": "",
    "mark.svg": "<svg/>",
}


def site(folder: Path, **changed: str) -> Path:
    """A whole site, but for files that are others."""
    for name, text in (WHOLE | changed).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_whole_site_has_no_problem(tmp_path: Path) -> None:
    assert problems(site(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "added", "problem"),
    [
        ("index.html", '<a href="b.html">', "index.html: the link 'b.html' leads to no file"),
        ("index.html", '<a href="docs/">', "index.html: the link 'docs/' leads to no file"),
        ("index.html", '<img src="b.png">', "index.html: the link 'b.png' leads to no file"),
        (
            "search.html",
            '<a href="docs/a%20b.html#end">',
            "search.html: the link 'docs/a%20b.html#end' leads to no place on docs/a b.html",
        ),
        ("alone.html", '<a href="index.html">', "alone.html: no link leads to it"),
        (
            "index.html",
            '<script src="//elsewhere.example/a.js">',
            "index.html: '//elsewhere.example/a.js' is fetched from elsewhere",
        ),
        (
            "index.html",
            '<link rel="preconnect" href="https://elsewhere.example">',
            "index.html: 'https://elsewhere.example' is fetched from elsewhere",
        ),
        (
            "_static/a.css",
            '@import "https://elsewhere.example/a.css";',
            "_static/a.css: 'https://elsewhere.example/a.css' is fetched from elsewhere",
        ),
    ],
)
def test_what_is_wrong_with_a_site_is_found(name: str, added: str, problem: str, tmp_path: Path) -> None:
    assert problems(site(tmp_path, **{name: WHOLE.get(name, "") + added})) == [problem]


@pytest.mark.parametrize(("added", "status"), [("", 0), ('<a href="b.html">', 1)])
def test_the_check_fails_where_something_is_wrong(added: str, status: int, tmp_path: Path) -> None:
    folder = site(
        tmp_path, **{"mark.html": added, "index.html": WHOLE["index.html"] + '<a href="mark.html">'}
    )
    done = subprocess.run(
        [sys.executable, CHECK, folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (status, status)


@pytest.mark.parametrize(
    ("link", "page", "place", "there"),
    [
        ("docs/client.md", "README.md", "docs/index.md", "client.md"),
        ("docs/operations.md#alerts", "README.md", "docs/index.md", "operations.md#alerts"),
        ("CONTRIBUTING.md", "README.md", "docs/index.md", "contributing.md"),
        ("docs/versions.md", "CONTRIBUTING.md", "docs/contributing.md", "versions.md"),
        (
            "../../CONTRIBUTING.md#commits",
            "docs/decisions/README.md",
            "docs/decisions/README.md",
            "../contributing.md#commits",
        ),
        ("../compose/compose.yaml", "docs/client.md", "docs/client.md", "../compose/compose.yaml"),
        ("#here", "README.md", "docs/index.md", "#here"),
        (
            "https://elsewhere.example/docs/a",
            "README.md",
            "docs/index.md",
            "https://elsewhere.example/docs/a",
        ),
    ],
)
def test_a_link_holds_where_its_page_is_on_the_site(link: str, page: str, place: str, there: str) -> None:
    text = making["relinked"](f"see [this]({link}).", ROOT / page, ROOT / place)
    assert text == f"see [this]({there})."


def test_what_comments_say_of_fields_is_in_the_reference() -> None:
    source = 'class A:\n    one: int\n    two: str = ""  # first\n    # second\n    other: int  # no\n'
    assert making["told_by_comments"](["one", "two"], source) == [
        "",
        "Attributes:",
        "    two: first second.",
        "",
    ]
    assert making["told_by_comments"](["one"], source) == []


def test_everything_that_the_client_offers_is_in_its_reference() -> None:
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    shown = re.findall(r"^\.\. auto(?:class|function):: (\w+)$", pages, re.MULTILINE)
    assert sorted(shown) == sorted({*client.__all__, *client.events.__all__} - {"events"})
