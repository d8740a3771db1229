"""What the agent writes of the dashboard: frame, plain table, policy; whatever stands in the group."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rabbitkeeper.agent import dashboard
from rabbitkeeper.agent.api.dashboard import accepts_html
from rabbitkeeper.agent.dashboard import Files, content_policy, render_page
from rabbitkeeper.agent.dashboard.page import origin_of

FILES = Files.load()
SHIPPED = sorted((Path(dashboard.__file__).parent / "static").iterdir())
HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e$group"
FIRST_VIEW = 150_000  # bytes


class Elements(HTMLParser):
    """The elements of a page, and the text outside them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def member(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": "running", "since": "2026-01-31T12:00:00.000Z", "amqp": "n:5672", **more}


def page(**group: Any) -> str:
    shown = {"group": "orders", "age": 1.5, "leader": None, "members": [], **group}
    return render_page(FILES, member="node1", version="0.1.0", group=shown, health={"at": "12:00"})


def test_without_javascript_it_says_who_leads_and_how_each_member_is() -> None:
    made = page(
        leader={"name": "node2", "since": "2026-01-31T12:00:00.000Z", "cause": "broker died"},
        epoch=7,
        members=[
            member(
                "node1", tags={"site": "south"}, state="hung", reasons=["no answer"], warnings=["two nodes"]
            ),
            member("node2", leader=True),
        ],
        pause={"by": "ann", "since": "12:00", "reason": "a new switch"},
        maintenance={"kind": "restart", "id": "9", "by": "bob"},
        problems=["config cannot be read"],
    )
    text = Elements(made).text
    for told in (
        "node2 leads since 2026-01-31T12:00:00.000Z, epoch 7: broker died.",
        "Paused by ann since 12:00: a new switch.",
        "Under way: restart 9, asked for by bob.",
        "Problem: config cannot be read",
        "as they were read 1.5 s ago",
    ):
        assert told in text
    row = re.search(r"<tr><th scope=\"row\"><bdi>node1.*?</tr>", made)
    assert row is not None
    assert re.findall(r"<td[^>]*>(.*?)</td>", row[0]) == [
        "hung",
        "2026-01-31T12:00:00.000Z",
        "no answer; two nodes",
        "n:5672",
        "south",
        "",
    ]


def test_a_group_that_is_not_known_is_a_reason() -> None:
    made = render_page(
        FILES, member="node1", version="1", group={"reason": "the agent is starting"}, health={}
    )
    assert "the agent is starting" in Elements(made).text
    assert "<table" not in made


def test_whatever_stands_in_the_group_is_text() -> None:
    usual = Elements(page(leader={"name": "a"}, members=[member("a", reasons=["r"])], pause={"by": "b"}))
    group = {
        "group": HOSTILE,
        "leader": {"name": HOSTILE, "since": HOSTILE, "cause": HOSTILE},
        "members": [member(HOSTILE, state=HOSTILE, reasons=[HOSTILE], tags={"site": HOSTILE})],
        "pause": {"by": HOSTILE, "since": HOSTILE, "reason": HOSTILE},
        "problems": [HOSTILE],
    }
    health = {"at": HOSTILE}
    made = Elements(render_page(FILES, member=HOSTILE, version=HOSTILE, group=group, health=health))
    assert {tag for tag, _ in made.tags} == {tag for tag, _ in usual.tags}
    assert [tag for tag, _ in made.tags].count("img") == 1
    assert made.text.count(HOSTILE) >= 10
    answers = next(attributes for tag, attributes in made.tags if tag == "main")
    assert json.loads(answers["data-group"] or "") == group
    assert json.loads(answers["data-health"] or "") == health


@pytest.mark.parametrize("broken", [None, 3, "x", {"name": 1}, [None, 4]])
def test_a_record_of_another_form_breaks_nothing(broken: Any) -> None:
    assert "</html>" in page(leader=broken, members=broken, pause=broken, switchover=broken, tags=broken)


def test_nothing_on_the_page_is_inline_or_from_elsewhere() -> None:
    made = Elements(page())
    for tag, attributes in made.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert tag != "style"
        assert tag != "script" or attributes.get("src", "")
        for key in ("src", "href"):
            target = attributes.get(key) or ""
            assert not target.startswith(("http:", "https:", "//", "/", "javascript:", "data:"))
    for name, file in FILES.files.items():
        text = file.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://\w", text), name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", text
        )


def test_all_files_of_the_first_view_are_named_and_small() -> None:
    made = page()
    named = set(re.findall(rf"dashboard/{FILES.digest}/([\w.]+)", made))
    assert named == set(FILES.files)
    assert len(made.encode()) + sum(len(file.body) for file in FILES.files.values()) < FIRST_VIEW


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_file_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400


# -- the policy


def test_the_policy_lets_the_page_look_for_other_agents_and_nobody_else() -> None:
    policy = content_policy(
        ["http://10.0.0.2:8008", "https://[fd00::1]:8008/agent", "http://10.0.0.2:8008/x"]
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["connect-src"] == "'self' http://10.0.0.2:8008 https://[fd00::1]:8008"
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        7,
        "javascript:alert(1)",
        "http://",
        "http://a b:80",
        "http://x; script-src *",
        "http://*:80",
        "http://x\r\nSet-Cookie: a",
        "http://user:secret@x:80",
        "http://x:port",
        "http://x:99999",
        "http://[x]:80",
    ],
)
def test_a_url_that_a_header_must_not_hold_is_left_out(url: object) -> None:
    assert origin_of(url) is None or re.fullmatch(r"https?://[\w.-]+", origin_of(url) or "")
    assert ";" not in (origin_of(url) or "")


def test_a_policy_is_bounded() -> None:
    assert content_policy(f"http://n{number}:80" for number in range(1000)).count("http://") == 64


# -- who gets it


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("application/json, TEXT/HTML ; q=0.5", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html;q=0, */*", False),
        ("text/html; q = 0.0", False),
        (";;,,=", False),
    ],
)
def test_a_browser_is_known_by_what_it_accepts(accept: str, html: bool) -> None:
    assert accepts_html(accept) is html
