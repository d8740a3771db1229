"""A browser for all tests of the dashboard."""

from collections.abc import Iterator

import pytest
from support.browser.chromium import Chromium, chromium, why_none


@pytest.fixture(scope="session")
def one_browser() -> Iterator[Chromium]:
    why = why_none()
    if why is not None:
        pytest.skip(f"no browser: {why}")
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Chromium) -> Iterator[Chromium]:
    """Its pages are closed at the end, and must not have complained."""
    one_browser.complaints.clear()
    yield one_browser
    one_browser.close_pages()
    assert one_browser.complaints == []
