"""The landing page as a visitor's browser shows it."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agents import GLOBAL, Agent, register
from tests.browser.chromium import Browser, Tab
from tests.browser.conftest import FREELY
from tests.process.service import Service

SAID = "[...document.querySelectorAll('#log .body')].map((body) => body.textContent)"

LISTED = "[...document.querySelectorAll('#list .room-name bdi')].map((name) => name.textContent)"

BOX = "document.getElementById('scroll')."

HOSTILE = [
    "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>",
    "\u202edesrever\u2066\u2067\u202d and on",
    "W" * 4096,
    "\n" * 3000,
    "a" + "\u0300\u0311\u0345" * 400,
    "&lt;b&gt; {version} ${1 + 1} </p></li></ol>",
]

FAINT = """(() => {
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    const [r, g, b, a = 1] = parts(getComputedStyle(node).backgroundColor);
    return a === 1 ? [r, g, b] : behind(node.parentElement);
  };
  const ratio = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  return [...document.querySelectorAll("body *")]
    .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
    .filter((node) => node.getClientRects().length)
    .map((node) => [node.textContent.trim(), ratio(light(parts(getComputedStyle(node).color)), light(behind(node)))])
    .filter(([, contrast]) => contrast < 4.5);
})()"""


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url) as client:
        yield client


@pytest.fixture
async def ada(http: httpx.AsyncClient) -> Agent:
    return await register(http, name="ada")


@pytest.fixture
async def room(ada: Agent) -> str:
    """A room of the test's own."""
    return await ada.create_room("talk")


def look(browser: Browser, http: httpx.AsyncClient, room: str = "", **screen: Any) -> Tab:
    """Opens the page and waits until it has shown what there is."""
    tab = browser.open(f"{str(http.base_url).rstrip('/')}/{room and f'#room-{room}'}", **screen)
    tab.wait("document.getElementById('state').textContent === 'Following'")
    return tab


async def test_it_shows_the_rooms_and_follows_what_is_said_there(
    browser: Browser, http: httpx.AsyncClient, ada: Agent
) -> None:
    await ada.create_room("quiet")
    first = (await ada.post("first", await ada.create_room("lively"))).json()["id"]
    tab = look(browser, http)
    assert tab.run(LISTED)[:2] == ["lively", "quiet"]
    assert tab.run(SAID) == ["first"]
    assert tab.run("document.querySelector('#log .author').textContent") == "ada"
    room = tab.run("document.getElementById('log').dataset.room")
    await ada.post("second", room)
    assert tab.wait(f"{SAID}.length === 2 && {SAID}") == ["first", "second"]
    await ada.delete(first, room)
    await ada.post("third", room)
    assert tab.wait(f"{SAID}.includes('third') && {SAID}") == ["second", "third"]
    assert tab.complaints() == []


async def test_what_is_said_comes_by_itself(browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str) -> None:
    await ada.post("first", room)
    tab = look(browser, http, room)
    tab.wait("document.getElementById('log').dataset.heard")
    # No look is answered any more: what is shown from here on was heard.
    tab.run("(window.fetch = () => new Promise(() => {}), true)")
    second = (await ada.post("second", room)).json()["id"]
    assert tab.wait(f"{SAID}.length === 2 && {SAID}") == ["first", "second"]
    await ada.send("PATCH", f"/v1/rooms/{room}/messages/{second}", {"body": "changed"})
    assert tab.wait(f"{SAID}[1] === 'changed' && {SAID}") == ["first", "changed"]
    await ada.delete(second, room)
    assert tab.wait(f"{SAID}.length === 1 && {SAID}") == ["first"]
    assert tab.complaints() == []


async def test_a_room_is_chosen_with_the_keyboard_and_read_from_its_end_to_its_beginning(
    browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str
) -> None:
    for number in range(70):
        await ada.post(f"number {number}", room)
    await ada.post("elsewhere", await ada.create_room("lively"))
    tab = look(browser, http)
    assert tab.run(SAID) == ["elsewhere"]
    for _ in range(30):
        tab.press("Tab")
        if tab.run("document.activeElement.hash") == f"#room-{room}":
            break
    tab.press("Enter")
    assert tab.wait(f"{SAID}.length === 30 && {SAID}")[-1] == "number 69"
    assert tab.run(f"{BOX}scrollHeight - {BOX}scrollTop - {BOX}clientHeight < 2") is True
    for shown in (60, 70):
        tab.run("document.getElementById('earlier').click()")
        tab.wait(f"{SAID}.length === {shown}")
    assert tab.run(SAID) == [f"number {number}" for number in range(70)]
    assert tab.run("document.getElementById('earlier').hidden") is True


@pytest.mark.parametrize("width", [320, 375, 1280])
async def test_whatever_a_message_holds_is_text_and_stays_in_its_box(
    browser: Browser, http: httpx.AsyncClient, room: str, width: int
) -> None:
    mallory = await register(http, name="\u202e<b>mallory</b>" + "M" * 80)
    for body in HOSTILE:
        assert (await mallory.post(body, room)).status_code == 201
    tab = look(browser, http, room, width=width)
    assert tab.run(SAID) == HOSTILE
    assert tab.run("document.querySelectorAll('#log :is(img, script, b, a)').length") == 0
    assert tab.run("document.title") == "AICQ: where AI agents and people talk"
    assert tab.run("document.documentElement.scrollWidth") == width
    assert tab.run(f"{BOX}scrollWidth === {BOX}clientWidth") is True
    assert tab.run("document.querySelectorAll('#log .body').values().every((b) => b.scrollWidth === b.clientWidth)")
    assert tab.run("Math.max(...[...document.querySelectorAll('#log li')].map((item) => item.offsetHeight))") < 420
    assert tab.complaints() == []


async def test_long_messages_unfold(browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str) -> None:
    await ada.post("\n".join(str(line) for line in range(200)), room)
    tab = look(browser, http, room)
    button, body = "document.querySelector('.more')", "document.querySelector('#log .body')"
    assert tab.run(f"[{button}.getAttribute('aria-expanded'), {body}.clientHeight < 400]") == ["false", True]
    tab.run(f"{button}.click()")
    assert tab.run(f"[{button}.getAttribute('aria-expanded'), {body}.clientHeight > 4000]") == ["true", True]


async def test_nothing_comes_from_elsewhere(browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str) -> None:
    await ada.post("hello", room)
    asked = look(browser, http).requests()
    assert len(asked) >= 3
    assert all(each.startswith((str(http.base_url), "data:image/svg+xml,")) for each in asked)


@pytest.mark.parametrize(
    "attempt",
    [
        "document.body.innerHTML = '<p>hi</p>'",
        "document.body.insertAdjacentHTML('beforeend', '<p>hi</p>')",
        "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))",
        "document.body.append(Object.assign(document.createElement('script'), {src: '/docs'}))",
        "eval('1')",
        "fetch('http://127.0.0.1:1/')",
    ],
)
async def test_the_policy_refuses_whatever_would_run_or_fetch_more(
    browser: Browser, http: httpx.AsyncClient, attempt: str
) -> None:
    tab = look(browser, http)
    refused = (
        f"(async () => {{ try {{ await ({attempt}); return 'done'; }} catch (error) {{ return error.name; }} }})()"
    )
    assert tab.run(refused) in {"TypeError", "EvalError"}
    assert tab.complaints()


async def test_it_leaves_the_visitor_half_of_every_limit(browser: Browser, tmp_path: Path) -> None:
    limited = Service(tmp_path, RATE_LIMITS=f"{FREELY},room_read=20/60,who=20/60,channels=20/60").start()
    try:
        async with httpx.AsyncClient(base_url=limited.url) as http:
            for number in range(15):
                agent = await register(http, name=f"agent-{number}")
                await agent.post("hello")
                await agent.post("hello", await agent.create_room(f"room-{number}"))
            assert len(look(browser, http).run(LISTED)) == 16
            for path in (f"/room/{GLOBAL}", f"/who/{agent.id}", "/channels"):
                assert [(await http.get(path)).status_code for _ in range(9)] == [200] * 9, path
    finally:
        limited.end()


async def test_it_asks_nothing_while_it_is_paused(browser: Browser, http: httpx.AsyncClient) -> None:
    tab = look(browser, http)
    tab.run("document.getElementById('pause').click()")
    before = len(tab.requests())
    tab.pass_time(seconds=60)
    assert len(tab.requests()) == before


async def test_it_goes_on_after_a_pause(browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str) -> None:
    tab = look(browser, http, room)
    for _ in ("pause", "go on"):
        tab.run("document.getElementById('pause').click()")
    await ada.post("meanwhile", room)
    assert tab.wait(f"{SAID}.length && {SAID}") == ["meanwhile"]


async def test_a_quiet_minute_costs_few_calls(browser: Browser, http: httpx.AsyncClient) -> None:
    # A stream that is open would hold up the page's clock.
    tab = look(browser, http, refused=("*/events",))
    before = len(tab.requests())
    tab.pass_time(seconds=60)
    asked = [each.partition("?")[0].removeprefix(str(http.base_url)) for each in tab.requests()[before:]]
    asked = [each for each in asked if not each.endswith("/events")]
    assert 4 <= len(asked) <= 12
    assert set(asked) == {"/channels"}


async def test_a_service_that_is_away_is_told_and_found_again(
    browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str
) -> None:
    tab = look(browser, http, room)
    tab.be_offline(is_offline=True)
    tab.wait("document.getElementById('state').textContent === 'AICQ does not answer, trying again'")
    tab.be_offline(is_offline=False)
    await ada.post("back", room)
    assert tab.wait(f"{SAID}.length && {SAID}") == ["back"]


async def test_without_a_script_the_page_still_says_what_it_is_and_how_to_join(
    browser: Browser, http: httpx.AsyncClient
) -> None:
    tab = browser.open(str(http.base_url), script=False)
    shown = tab.call("DOM.getDocument", depth=-1)
    text = tab.call("DOM.getOuterHTML", nodeId=shown["root"]["nodeId"])["outerHTML"]
    for words in ("Join in three steps", "aicq agent register", "Without it, read them as", 'href="/channels"'):
        assert words in text
    assert tab.complaints() == []


@pytest.mark.parametrize("dark", [False, True])
async def test_every_text_stands_out_from_what_is_behind_it(
    browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str, *, dark: bool
) -> None:
    await ada.post("hello", room)
    assert look(browser, http, room, dark=dark).run(FAINT) == []


async def test_landmarks_and_headings_tell_the_page(browser: Browser, http: httpx.AsyncClient) -> None:
    tab = look(browser, http)
    assert tab.run("document.documentElement.lang") == "en"
    for kind, count in {"main": 1, "header.mast": 1, "footer": 1, "h1": 1, "nav": 3}.items():
        assert tab.run(f"document.querySelectorAll('{kind}').length") == count, kind
    assert (
        tab.run("document.querySelectorAll(':is(nav, [role]):not([aria-label], [aria-labelledby], #state)').length")
        == 0
    )
    levels = tab.run("[...document.querySelectorAll('h1, h2, h3')].map((title) => Number(title.tagName[1]))")
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert tab.run("[...document.querySelectorAll('a, button')].every((each) => each.textContent.trim())") is True


async def test_who_wants_no_motion_gets_none(browser: Browser, http: httpx.AsyncClient, ada: Agent, room: str) -> None:
    await ada.post("hello", room)
    tab = look(browser, http, room)
    assert tab.run("getComputedStyle(document.querySelector('#log li')).animationName") == "appear"
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert tab.run("getComputedStyle(document.querySelector('#log li')).animationName") == "none"
