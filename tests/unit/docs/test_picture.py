"""The moving picture of the demo: shows what the demo has printed, when, and how each broker is by that."""

import re
import runpy
from collections.abc import Mapping
from xml.etree import ElementTree

import pytest
from support.source_tree import ROOT

drawing = runpy.run_path(str(ROOT / "docs" / "site" / "picture.py"))
SVG = "{http://www.w3.org/2000/svg}"

OUTPUT = """
   0.00 s  starting three brokers with agents …
  20.00 s  node1 leads (epoch 7)
  20.01 s  confirmed 3, delivered 3, duplicated 0, not confirmed 0
  21.00 s  SIGKILL to the broker of node1, the leader
  21.25 s  node2 leads (epoch <8>)
  21.50 s  node2 leads (epoch 8)
  30.00 s  the group is whole again after 9.0 s; the gap in confirms was 0.18 s
  31.00 s  SIGKILL to broker and agent of node2, the leader
  32.00 s  node1 leads (epoch 9)
  33.00 s  node2 is started again
  34.00 s  the group is whole again after 3.0 s; the gap in confirms was 0.20 s

┏━━━━━━━━━━┳━━━━━┓
┃published ┃ lost┃
┡━━━━━━━━━━╇━━━━━┩
│    5,015 │    0│
└──────────┴─────┘
No confirmed message is lost. 35 s in all.
"""


def states(output: str) -> Mapping[str, list[tuple[float, str]]]:
    """When each broker is said to become what."""
    told = drawing["brokers"](drawing["lines"](output))
    return {
        name: [
            (round(part.begin, 2), " ".join(re.findall(r">([^<]+)</text>", part.content))) for part in course
        ]
        for name, course in told.items()
    }


def test_waits_are_shortened_and_counts_left_out() -> None:
    told = drawing["lines"](OUTPUT)
    assert [round(line.at, 2) for line in told] == [0, 1.6, 2.6, 2.85, 3.1, 4.7, 5.7, 6.7, 7.7, 8.7]
    assert not any("delivered" in line.text for line in told)


def test_each_broker_is_as_the_lines_say() -> None:
    assert states(OUTPUT) == {
        "node1": [
            (0, "starts"),
            (1.6, "runs ★ leads"),
            (2.6, "broker killed ★ leads"),
            (3.1, "broker killed"),
            (4.7, "runs"),
            (6.7, "runs ★ leads"),
        ],
        "node2": [
            (0, "starts"),
            (1.6, "runs"),
            (3.1, "runs ★ leads"),
            (5.7, "broker and agent killed ★ leads"),
            (6.7, "broker and agent killed"),
            (7.7, "starts again"),
            (8.7, "runs"),
        ],
    }


def test_a_part_lasts_until_the_next_and_the_last_to_the_end() -> None:
    for course in drawing["brokers"](drawing["lines"](OUTPUT)).values():
        assert [part.end for part in course] == [part.begin for part in course[1:]] + [None]


def test_where_nothing_moves_the_picture_shows_how_all_ended() -> None:
    root = ElementTree.fromstring(drawing["picture"](OUTPUT))  # noqa: S314 # our own
    shown = [
        text.text
        for group in root.iter(f"{SVG}g")
        if group.get("class") != "past"
        for text in group.iter(f"{SVG}text")
    ]
    assert shown[:3] == ["runs", "★ leads", "runs"]
    assert "  21.25 s  node2 leads (epoch <8>)" in shown
    assert shown[-2:] == ["published 5,015   lost 0", "No confirmed message is lost. 35 s in all."]


def test_each_part_has_its_time() -> None:
    svg = drawing["picture"](OUTPUT)
    names = set(re.findall(r"animation-name: (\w+)", svg))
    assert names == set(re.findall(r"@keyframes (\w+)", svg))
    assert all(float(share) <= 100 for share in re.findall(r"([\d.]+)% {", svg))


@pytest.mark.parametrize("output", ["", OUTPUT.replace("No confirmed", "2 confirmed"), OUTPUT.split("┡")[0]])
def test_what_is_no_good_run_makes_no_picture(output: str) -> None:
    with pytest.raises(SystemExit, match="not what"):
        drawing["picture"](output)


def test_the_picture_in_the_readme_is_of_the_run_on_the_demos_page() -> None:
    page = (ROOT / "docs" / "demo.md").read_text()
    run = re.search(r"^```\n(\$ \./dev demo --plain\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert run is not None
    assert (ROOT / "docs" / "demo.svg").read_text() == drawing["picture"](run[1])
