"""A headless Chromium that is installed here, and what tests ask of the dashboard in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

BINARIES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120_000  # milliseconds for anything on a busy machine
SERIOUS = {"serious", "critical"}


class Page(Protocol):
    """The part of Playwright's page that tests use; Playwright is not installed where types are checked."""

    url: str

    def __getattr__(self, name: str) -> Any: ...


def why_none() -> str | None:
    """Why there is no browser to test with; None if there is one."""
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
        return "the extra 'browser' is not installed"
    if _binary() is None:
        return f"none of {', '.join(BINARIES)} is installed"
    return None


def _binary() -> str | None:
    return next((found for name in BINARIES if (found := shutil.which(name)) is not None), None)


class Chromium:
    """One browser; :meth:`open` gives a page of its own, without what another one has kept.

    Attributes:
        complaints: what pages have complained of since the last look: errors of scripts, and what the policy
            has refused.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []

    def open(self, url: str, *, width: int = 1280, height: int = 900, script: str = "", **more: Any) -> Page:
        """A page that is loaded; with scripts, when the group is drawn.

        Args:
            script: is run in the page before its own.
        """
        context = self._browser.new_context(viewport={"width": width, "height": height}, **more)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if script:
            context.add_init_script(script)
        page: Page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        page.goto(url)
        if more.get("java_script_enabled", True):
            page.wait_for_selector("#picture .member")
        return page

    def close_pages(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _heard(self, message: Any) -> None:
        # A status of 503, or nobody there, is what tests make; a policy that refuses something is a fault.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Started headless; ended at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without its sandbox: tests may run as root, and it opens pages of the tests alone.
        browser = playwright.chromium.launch(executable_path=_binary(), args=["--no-sandbox"])
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def obstacles(page: Page) -> list[str]:
    """What axe finds on a page that keeps somebody from using it: serious and critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']} ({each['impact']}): {node['target']} {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


def width_beyond(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def says(page: Page, selector: str, text: str) -> None:
    """Wait until the element says so; an error tells what the page says instead."""
    try:
        page.wait_for_function(
            "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)",
            arg=[selector, text],
        )
    except Exception as error:
        error.add_note(f"{selector} does not say {text!r}; the page says: {page.inner_text('body')}")
        raise
