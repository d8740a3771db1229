"""The page's modules as one: what they may import and export, and what is refused."""

import pytest

from rabbitkeeper.agent.dashboard.modules import join_modules

DOM = """\
// Elements.

const SVG = 1;
export const TONE = {
  good: SVG,
};
export function el(tag) { return tag; }
"""
AGENT = """\
import { el } from "./dom.js";

export async function read(path) { return el(path); }
"""
MAIN = """\
import { TONE, el } from "./dom.js";
import * as agent from "./agent.js";

agent.read(el(TONE.good));
"""


def test_each_becomes_a_function_that_is_called_before_who_needs_it() -> None:
    joined = join_modules({"main": MAIN, "dom": DOM, "agent": AGENT})
    assert [line for line in joined.splitlines() if "$" in line or line.startswith("return")] == [
        "const $dom = (() => {",
        "return { TONE, el };",
        "const $agent = (() => {",
        "const { el } = $dom;",
        "return { read };",
        "const $main = (() => {",
        "const { TONE, el } = $dom;",
        "const agent = $agent;",
        "return {  };",
    ]
    for kept in (
        "// Elements.",
        "const TONE = {\n  good: SVG,\n};",
        "async function read(path)",
        "agent.read(",
    ):
        assert kept in joined


def test_their_order_has_no_meaning() -> None:
    modules = {"main": MAIN, "dom": DOM, "agent": AGENT}
    assert join_modules(modules) == join_modules(dict(reversed(modules.items())))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('import { el } from "./nothing.js";\n', "main.js imports nothing.js, which there is not"),
        ('import el from "./dom.js";\n', "main.js cannot be joined .* this line: import el from"),
        ('import {\n  el,\n} from "./dom.js";\n', "this line: import {"),
        ('import { el as make } from "./dom.js";\n', "this line: import { el as make }"),
        ('import "./dom.js";\n', 'this line: import "./dom.js";'),
        ('import { el } from "https://elsewhere/dom.js";\n', "this line: import { el } from"),
        ('const dom = await import("./dom.js");\n', "this line: const dom = await import"),
        ("const here = import.meta.url;\n", "this line: const here = import.meta.url;"),
        ("export default 3;\n", "this line: export default 3;"),
        ("export { a, b };\n", "this line: export { a, b };"),
        ("export let count = 0;\n", "this line: export let count = 0;"),
        ("export class Page {}\n", "this line: export class Page {}"),
    ],
)
def test_what_it_does_not_know_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        join_modules({"main": text, "dom": DOM})


def test_modules_in_a_circle_are_refused() -> None:
    needs_main = 'import { a } from "./main.js";\n' + DOM
    with pytest.raises(ValueError, match="import one another: "):
        join_modules({"main": MAIN + "export const a = 1;\n", "dom": needs_main, "agent": AGENT})
