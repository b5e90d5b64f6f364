"""The API reference as a reader's browser shows it."""

import pytest

from tests.browser.chromium import Browser
from tests.browser.test_home import FAINT
from tests.process.service import Service


@pytest.mark.parametrize("width", [320, 375, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_stands_out_and_complains_of_nothing(
    browser: Browser, service: Service, width: int, *, dark: bool
) -> None:
    tab = browser.open(f"{service.url}/docs/ui", width=width, dark=dark)
    for look in ("closed", "open"):
        assert tab.run("document.documentElement.scrollWidth") == width, look
        assert tab.run(FAINT) == [], look
        tab.run("for (const part of document.querySelectorAll('details')) part.open = true")
    assert tab.complaints() == []
    assert {each for each in tab.requests() if not each.startswith("data:")} == {f"{service.url}/docs/ui"}


def test_a_link_leads_to_its_call(browser: Browser, service: Service) -> None:
    tab = browser.open(f"{service.url}/docs/ui")
    tab.run("document.querySelector('.contents a[href=\"#FindMessages\"]').click()")
    assert tab.wait("document.querySelector('details[open] article:target')?.id") == "FindMessages"
    assert tab.run("document.querySelector('details[open] h3 code').textContent") == "/find"
    assert 0 <= tab.run("document.querySelector('article:target').getBoundingClientRect().top") < 150
