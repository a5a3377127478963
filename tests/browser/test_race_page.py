"""The race page in Chromium, as a teacher and a class use it."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from resnet_viz.engine.hub import PAUSE_SECONDS
from resnet_viz.text import _, call_in
from resnet_viz.ui.feed import GONE, MAX_MESSAGE, NOT_TEXT, STRANGER, TOO_LONG, WRONG_TOKEN
from tests.boards import PATIENCE, wait_board
from tests.browser.conftest import SETTLED

pytestmark = pytest.mark.browser
SCREENSHOTS = Path(__file__).parent / "screenshots"


def open_race(page: Page, url: str, query: str = "") -> None:
    page.goto(url + query)
    page.locator(".st-key-play button:visible").first.wait_for(timeout=PATIENCE)
    wait_board(page)
    page.wait_for_url(re.compile("run="), timeout=PATIENCE)  # or who takes the address would open another race


def read_board(page: Page) -> dict[str, str]:
    return page.locator("[data-testid=board]").evaluate("b => ({...b.dataset})")


def click(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button:visible").first.click()


def toggle(page: Page, index: int) -> None:
    page.locator(f".st-key-skip-{index} label").first.click()


def choose_language(page: Page, name: str) -> None:
    if page.viewport_size["width"] < 768:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("radio", name=name).click()


def test_default_race_is_what_the_lesson_says(page: Page, server) -> None:
    """Play: the plain net stays at chance, the residual one learns; charts are never mounted again."""
    open_race(page, server.url)
    assert read_board(page)["state"] == "ready"
    page.get_by_test_id("chart-blocks").scroll_into_view_if_needed()
    wait_board(page, "b.dataset.mounts === '4'")
    mounts = "4"
    click(page, "play")
    wait_board(page, "b.dataset.step >= 300")
    text = page.locator("[data-testid=board]").inner_text()
    training = [float(value) for value in re.findall(r"Training accuracy\s+([\d.]+) %", text)]
    assert training[0] < 20 and training[1] > 95
    assert read_board(page)["mounts"] == mounts
    page.locator(".st-key-play button:visible:has-text('Pause')").click()
    wait_board(page, "b.dataset.state === 'paused'")
    step = read_board(page)["step"]
    page.wait_for_timeout(700)
    assert read_board(page)["step"] == step
    assert not page.errors


def test_step_is_one_batch_and_reset_goes_back(page: Page, server) -> None:
    open_race(page, server.url)
    click(page, "step")
    wait_board(page, "b.dataset.step === '1' && b.dataset.state === 'paused'")
    click(page, "step")
    wait_board(page, "b.dataset.step === '2'")
    click(page, "reset")
    wait_board(page, "b.dataset.step === '0' && b.dataset.state === 'ready'")


def test_keyboard_plays_and_pauses(page: Page, server) -> None:
    open_race(page, server.url)
    page.locator("h1").click()
    page.keyboard.press("p")
    wait_board(page, "b.dataset.step > 0")
    page.locator(".st-key-play button:visible:has-text('Pause')").wait_for(timeout=PATIENCE)
    page.keyboard.press("p")
    wait_board(page, "b.dataset.state === 'paused'")


def test_skip_toggle_works_in_the_middle_of_a_run(page: Page, server) -> None:
    """The run goes on, the lane becomes a plain net, and the change is in the link."""
    open_race(page, server.url)
    click(page, "play")
    wait_board(page, "b.dataset.step > 30")
    toggle(page, 1)
    expect(page.locator("[data-testid=board]")).not_to_contain_text("Residual net", timeout=PATIENCE)
    page.wait_for_url(re.compile("changes=.*skip"), timeout=PATIENCE)
    assert read_board(page)["state"] == "running"
    step = int(read_board(page)["step"])
    wait_board(page, f"b.dataset.step > {step + 20}")


def test_shortcuts_are_cut_and_mended_on_the_board(page: Page, server) -> None:
    """By a click on an arc in the middle of a run, and by keys: drawn, named, in the link, and said; Back mends it."""
    open_race(page, server.url, "/?lang=en&depth=8&steps=100000")
    arc, summary = page.get_by_test_id("arc-1-2"), page.get_by_test_id("summary")
    expect(arc).to_have_attribute("aria-label", "Cut the shortcut of block 2")
    expect(arc).to_have_attribute("aria-pressed", "false", timeout=PATIENCE)
    assert not page.get_by_test_id("arc-0-2").is_visible()  # the plain net's toggle is off
    click(page, "play")
    wait_board(page, "b.dataset.step > 20")
    x, y = arc.evaluate("""arc => {
        const line = arc.querySelector('.rv-shortcut'), at = line.getScreenCTM();
        const top = line.getPointAtLength(line.getTotalLength() / 2);
        return [at.a * top.x + at.e, at.d * top.y + at.f];
    }""")
    page.mouse.click(x, y)
    expect(arc).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    expect(summary).to_contain_text("Residual net: shortcut cut, block 2, step", timeout=PATIENCE)
    page.wait_for_url(re.compile(r"changes=\d+\.1\.cuts\.1&"), timeout=PATIENCE)
    step = re.search(r"changes=(\d+)", page.url)[1]
    assert read_board(page)["state"] == "running"
    expect(page.get_by_test_id("lane-1")).to_contain_text("✂ block 2")
    for chart in ("loss", "accuracy"):
        lines = page.get_by_test_id(f"chart-{chart}").locator(".annotation-text", has_text=f"✂ block 2, step {step}")
        expect(lines).to_have_count(1, timeout=PATIENCE)
    click(page, "play")
    wait_board(page, "b.dataset.state === 'paused'")
    page.get_by_test_id("block-1-3").focus()
    page.keyboard.press("s")
    expect(page.get_by_test_id("arc-1-3")).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    page.wait_for_url(re.compile(r"\.cuts\.1%2B2"), timeout=PATIENCE)
    arc.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("arc-1-3")).to_be_focused()
    page.keyboard.press("Enter")  # and back
    expect(page.get_by_test_id("arc-1-3")).to_have_attribute("aria-pressed", "false", timeout=PATIENCE)


def test_a_change_at_rest_is_told_beside_what_was_before(page: Page, server) -> None:
    """A trained net without its shortcuts: its accuracies are those of the cut net, the old ones stand beside them."""
    open_race(page, server.url, "/?lang=en&optimizer=adamw&lr=0.002&steps=120")
    click(page, "play")
    wait_board(page, "b.dataset.state === 'finished'")
    lane = page.get_by_test_id("lane-1")
    expect(lane).not_to_contain_text("before")
    toggle(page, 1)
    expect(lane).to_contain_text("before", timeout=PATIENCE)
    expect(lane.get_by_role("heading")).to_contain_text("Plain net", timeout=PATIENCE)
    shown = re.findall(r"([\d.]+) %", lane.inner_text())
    training, trained, held_out, before = map(float, shown)
    assert training < 50 < trained and held_out < 50 < before
    toggle(page, 1)
    expect(lane).not_to_contain_text("before", timeout=PATIENCE)
    assert f"{shown[3]} %" in lane.inner_text()


def test_paper_has_all_charts_and_nothing_to_press(page: Page, server) -> None:
    """What is printed of a run at rest: charts that nobody has scrolled to, chains that fit, no controls, no sidebar."""
    page.set_viewport_size({"width": 700, "height": 500})
    open_race(page, server.url, "/?lang=en&depth=56")  # a chain wider than the page
    click(page, "step")
    wait_board(page, "b.dataset.step === '1' && b.dataset.state === 'paused'")
    page.emulate_media(media="print")
    wait_board(page, "b.dataset.mounts === '4'")
    board = page.get_by_test_id("board")
    assert "Press Play" not in board.inner_text() and page.locator(":is(button, input, select):visible").count() <= 3
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    for picture in page.locator("[data-testid=board] :is(.rv-chain > svg, .main-svg)").all():
        box = picture.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 700, picture
    for chart in ("layers", "blocks"):
        assert page.locator(f"[data-testid=chart-{chart}] .scatterlayer path.point").count() > 20
    page.emulate_media(media="screen")
    expect(page.locator("[data-testid=board] [viewBox].main-svg")).to_have_count(0)


PLACES = """() => [...document.querySelectorAll(
    '[class*=st-key-]:is(.stElementContainer), [data-testid=board] :is(.rv-lane, .rv-chain, .rv-chart)')]
    .filter(e => e.checkVisibility())
    .map(e => [e.className.match(/st-key-\\S+|rv-\\S+/)[0], e.getBoundingClientRect()])
    .map(([name, box]) => [name, Math.round(box.x), Math.round(box.y)].join())"""


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_nothing_moves_on_play(page: Page, server, language: str) -> None:
    open_race(page, server.url, f"/?lang={language}&depth=8")
    page.locator("[data-testid=chart-layers] .rv-note p").first.wait_for(timeout=PATIENCE)  # the first look has come
    for width in (1280, 1024, 390):
        page.set_viewport_size({"width": width, "height": 720})
        page.wait_for_timeout(500)
        places = page.evaluate(PLACES)
        click(page, "play")
        page.locator(".st-key-step button:disabled:visible").first.wait_for(timeout=PATIENCE)
        assert page.evaluate(PLACES) == places
        click(page, "play")
        page.locator(".st-key-step button:enabled:visible").first.wait_for(timeout=PATIENCE)
        assert page.evaluate(PLACES) == places


def test_focus_stays_where_the_keyboard_is_and_is_seen(page: Page, server) -> None:
    open_race(page, server.url, "/?lang=en")
    button = page.locator(".st-key-play button:visible")
    button.focus()
    for word in ("Pause", "Play"):
        page.keyboard.press("Enter")
        expect(button).to_contain_text(word, timeout=PATIENCE)
        expect(button).to_be_focused()
    for _stop in range(60):
        page.keyboard.press("Tab")
        name, seen = page.evaluate("""() => {
            const e = document.activeElement;
            const drawn = n => {
                const { outlineStyle, outlineWidth } = getComputedStyle(n);
                return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
            };
            const framed = e.matches('body, .rv-block, .rv-arc, input:not([role=switch])');  // by Streamlit, by its ring
            return [e.outerHTML.slice(0, 100), framed || drawn(e) || drawn(e.closest('label') ?? e)];
        }""")
        assert seen, name


def test_language_switch_does_not_disturb_the_run(page: Page, server) -> None:
    open_race(page, server.url)
    click(page, "play")
    wait_board(page, "b.dataset.step > 10")
    page.get_by_test_id("chart-blocks").scroll_into_view_if_needed()
    wait_board(page, "b.dataset.mounts === '4'")
    before = read_board(page)
    choose_language(page, "简体中文")
    expect(page.locator("[data-testid=board]")).to_contain_text("残差网络", timeout=PATIENCE)
    expect(page.locator(".st-key-play button:visible")).to_contain_text("暂停", timeout=PATIENCE)
    after = read_board(page)
    assert after["mounts"] == before["mounts"] and int(after["step"]) >= int(before["step"])
    assert after["state"] == "running"
    assert "lang=zh_CN" in page.url


def test_choices_are_told_in_the_language_that_is_chosen(page: Page, server) -> None:
    """A browser sends the words of each choice back with whatever is pressed next: those have to hold."""
    open_race(page, server.url, "?lang=en&compare=depth&first=8&init=he")
    for language, name in (("zh_CN", "简体中文"), ("en", "English")):
        choose_language(page, name)
        for choice, words in (("compare", "Depth"), ("family", "Dense"), ("decay", "The optimizer’s own")):
            expect(page.locator(f".st-key-{choice} input")).to_have_value(call_in(language, _, words), timeout=PATIENCE)
        before = page.url
        click(page, "new_seed")
        page.wait_for_url(lambda url, before=before: url != before and "seed=" in url, timeout=PATIENCE)
        expect(page.locator(".st-key-play button:visible").first).to_be_visible(timeout=PATIENCE)
        assert "compare=depth" in page.url and "first=8" in page.url and "init=he" in page.url
    assert not page.errors


def test_browser_locale_decides_the_first_language(chromium: Browser, server) -> None:
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    open_race(page, server.url)
    expect(page.locator("[data-testid=board]")).to_contain_text("普通网络")
    context.close()


def test_reload_finds_the_run_again(page: Page, server) -> None:
    open_race(page, server.url)
    click(page, "play")
    wait_board(page, "b.dataset.step > 50")
    page.locator(".st-key-play button:visible:has-text('Pause')").click()
    wait_board(page, "b.dataset.state === 'paused'")
    url, step = page.url, read_board(page)["step"]
    page.reload()
    wait_board(page, f"b.dataset.step === '{step}' && b.dataset.state === 'paused'")
    assert page.url == url


def read_numbers(page: Page) -> list[str]:
    return re.findall(r"accuracy\s+([\d.]+) %|is (\S+) times", page.locator("[data-testid=board]").inner_text())


def test_link_gives_the_same_race_and_numbers_elsewhere(page: Page, chromium: Browser, server) -> None:
    """A link without the run's id starts the same race afresh in another browser: the same numbers at its end."""
    open_race(page, server.url, "/?depth=8&seed=5&steps=60&lr=0.03&lang=en")
    click(page, "play")
    wait_board(page, "b.dataset.state === 'finished'")
    parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))
    assert parameters.pop("run")
    other = chromium.new_context(locale="en-GB").new_page()
    open_race(other, server.url, "/?" + urllib.parse.urlencode(parameters))
    assert read_board(other)["state"] == "ready"
    click(other, "play")
    wait_board(other, "b.dataset.state === 'finished'")
    deadline = time.monotonic() + PATIENCE / 1000  # what is measured at rest comes a moment later, in each by itself
    while read_numbers(other) != read_numbers(page) and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    assert read_numbers(other) == read_numbers(page) != []
    other.context.close()


def test_closed_tab_stops_its_race(page: Page, chromium: Browser, server) -> None:
    open_race(page, server.url, "/?steps=100000")
    click(page, "play")
    wait_board(page, "b.dataset.step > 5")
    url = page.url
    page.close()
    time.sleep(PAUSE_SECONDS + 8)  # a busy machine notices late that nobody is there
    again = chromium.new_context(locale="en-GB").new_page()
    open_race(again, url)
    assert read_board(again)["state"] == "paused"
    again.context.close()


def test_bad_link_is_told_in_the_readers_language(page: Page, server) -> None:
    """Every bad value is named with what it takes; the page works on with the rest."""
    query = urllib.parse.urlencode({"depth": "1000000", "width": "99999999", "lr": "nan", "shortcut": "wormhole",
                                    "seed": "x" * 5000, "steps": "-3", "changes": "1.2", "momentum": "0.5"})
    open_race(page, server.url, f"/?lang=en&{query}")
    for field in ("Depth", "Width", "Learning rate", "Shortcut", "Seed", "Step limit", "Live changes"):
        expect(page.get_by_test_id("stAlert").filter(has_text=f"{field} cannot be")).to_have_count(1)
    assert "momentum=0.5" in page.url
    open_race(page, server.url, f"/?lang=zh_CN&{query}")
    assert re.search("[一-鿿]", page.get_by_test_id("stAlert").first.inner_text())


def test_lost_connection_comes_back(page: Page, server) -> None:
    """The socket is cut on the way; the board says so, reconnects, and is up to date."""
    sockets = []
    page.route_web_socket(re.compile("/feed/"), lambda socket: (sockets.append(socket), socket.connect_to_server()))
    open_race(page, server.url)
    click(page, "play")
    wait_board(page, "b.dataset.step > 20")
    count = len(sockets)
    sockets[-1].close()
    wait_board(page, "b.dataset.connection !== 'open'")
    wait_board(page, "b.dataset.connection === 'open'")
    assert len(sockets) > count
    step = int(read_board(page)["step"])
    wait_board(page, f"b.dataset.step > {step}")


def test_a_server_that_starts_again_makes_the_race_anew(page: Page, launch) -> None:
    """Nobody has to reload: the same race stands at its start, the page says so, and Play plays it."""
    server = launch()
    try:
        open_race(page, server.url, "/?lang=en&depth=8&seed=5")
        click(page, "play")
        wait_board(page, "b.dataset.step > 5")
        url = page.url
        server.stop()
        wait_board(page, "b.dataset.connection === 'lost'")
        server = launch(port=server.port)
        expect(page.get_by_test_id("stToast")).to_contain_text("no longer on the server", timeout=PATIENCE)
        wait_board(page, "b.dataset.connection === 'open' && b.dataset.state === 'ready' && b.dataset.step === '0'")
        page.wait_for_url(lambda now: now != url and "depth=8" in now and "seed=5" in now, timeout=PATIENCE)
        click(page, "play")
        wait_board(page, "b.dataset.step > 5")
    finally:
        server.stop()


def test_board_claims_nothing_before_it_is_told(page: Page, server) -> None:
    """A race that is paused is never called ready, however late the feed's first word."""
    open_race(page, server.url)
    click(page, "step")
    wait_board(page, "b.dataset.state === 'paused'")
    held = []

    def hold(socket) -> None:
        feed = socket.connect_to_server()
        feed.on_message(lambda message: held.append((socket, message)))

    page.route_web_socket(re.compile("/feed/"), hold)
    page.reload()
    wait_board(page, "b.dataset.frames > 0 && b.dataset.mounts > 0")
    assert read_board(page)["state"] == read_board(page)["seq"] == ""
    assert not re.search("Ready|Press Play", page.get_by_test_id("board").inner_text())
    for socket, message in held:
        socket.send(message)
    wait_board(page, "b.dataset.state === 'paused' && b.dataset.step === '1'")


def read_feed(page: Page) -> str:
    """The address of the race's feed, as the page was given it."""
    with page.expect_websocket(lambda socket: "/feed/" in socket.url) as opened:
        page.reload()
    return opened.value.url


def test_feed_refuses_strangers(page: Page, server) -> None:
    """A foreign origin or a wrong token: closed with a code that says which. The page's own gets a snapshot."""
    open_race(page, server.url)
    feed = read_feed(page)
    wrong = re.sub("token=.*", "token=wrong", feed)
    for address, origin, code in ((feed, "http://evil.example", STRANGER), (wrong, server.url, WRONG_TOKEN),
                                  (wrong, None, WRONG_TOKEN), (feed.replace("/feed/", "/feed/no"), server.url, GONE)):
        with connect(address, origin=origin) as socket, pytest.raises(ConnectionClosed) as refusal:
            socket.recv()
        assert refusal.value.rcvd.code == code
    with connect(feed, origin=server.url) as socket:
        message = json.loads(socket.recv())
        assert message["type"] == "snapshot" and len(message["lanes"]) == 2


def test_feed_gives_signs_of_life_and_takes_no_rubbish(page: Page, server) -> None:
    """At rest, too, something comes. What no board sends closes the socket, with a code that says why."""
    open_race(page, server.url)
    feed = read_feed(page)
    with connect(feed, origin=server.url) as socket:
        while json.loads(socket.recv(timeout=PATIENCE / 1000))["type"] != "beat":
            pass
    for rubbish, text, code in ((b"\x00\xff", False, NOT_TEXT), (b"\xff\xfe", True, 1007),
                                (b"x" * (MAX_MESSAGE + 1), True, TOO_LONG)):
        with connect(feed, origin=server.url) as socket, pytest.raises(ConnectionClosed) as refusal:
            socket.send("{}")  # small, and text: let be
            socket.recv()
            socket.send(rubbish, text=text)
            while True:
                socket.recv(timeout=PATIENCE / 1000)
        assert refusal.value.rcvd.code == code


@pytest.mark.parametrize(("code", "words"), [(STRANGER, "a page of another site"), (WRONG_TOKEN, "the key to this race")])
def test_a_refusal_is_told_in_words_and_nothing_is_tried_again(page: Page, server, code: int, words: str) -> None:
    sockets = []
    page.route_web_socket(re.compile("/feed/"), lambda socket: (sockets.append(socket), socket.close(code=code)))
    page.goto(server.url)
    expect(page.get_by_test_id("board")).to_contain_text(words, timeout=PATIENCE)
    page.wait_for_timeout(1500)  # the first attempt after a lost connection is a quarter of a second later
    assert len(sockets) == 1


def test_a_connection_that_cannot_be_opened_is_told_in_words(page: Page, server) -> None:
    """A proxy that does not pass WebSockets on."""
    page.route_web_socket(re.compile("/feed/"), lambda socket: socket.close(code=1011))
    page.goto(server.url)
    expect(page.get_by_test_id("board")).to_contain_text("has to pass on WebSockets", timeout=PATIENCE)


def test_a_silent_server_is_told_of_whatever_the_race_does(page: Page, server) -> None:
    """The socket stands, and nothing comes: as where the network went away. Nothing that may be old is claimed."""
    quiet = []

    def hold(socket) -> None:
        feed = socket.connect_to_server()
        feed.on_message(lambda message: None if quiet else socket.send(message))

    page.route_web_socket(re.compile("/feed/"), hold)
    open_race(page, server.url, "/?depth=8&steps=100000&lang=en")
    board = page.get_by_test_id("board")
    for state, words in (("ready", "Ready"), ("running", "steps/s")):
        expect(board).to_contain_text(words, timeout=PATIENCE)
        quiet.append(True)
        expect(board).to_contain_text("No word from the server", timeout=PATIENCE)
        assert not re.search("Running|Ready|steps/s", page.locator(".rv-status").inner_text())
        quiet.clear()
        wait_board(page, f"b.dataset.connection === 'open' && b.dataset.state === '{state}'")
        if state == "ready":
            click(page, "play")


def test_another_tab_follows(page: Page, chromium: Browser, server) -> None:
    """One run in two tabs: what is changed in one, the other shows, not only in numbers: widgets, names and buttons."""
    open_race(page, server.url, "/?depth=8&lang=en")
    other = chromium.new_context(viewport={"width": 1440, "height": 1000}, locale="en-GB").new_page()
    open_race(other, page.url)
    click(page, "step")
    wait_board(other, "b.dataset.step === '1' && b.dataset.state === 'paused'")
    expect(other.get_by_test_id("board")).to_contain_text("Residual net")
    toggle(page, 1)
    expect(other.get_by_test_id("board")).not_to_contain_text("Residual net", timeout=PATIENCE)
    expect(other.locator(".st-key-skip-1 input")).not_to_be_checked(timeout=PATIENCE)
    rate = ".st-key-lr input"
    page.wait_for_function(SETTLED, timeout=PATIENCE)
    page.locator(rate).fill("0.025")
    page.locator(rate).press("Enter")
    expect(other.locator(rate)).to_have_value(page.locator(rate).input_value(), timeout=PATIENCE)
    toggle(other, 1)  # and back
    expect(page.get_by_test_id("board")).to_contain_text("Residual net", timeout=PATIENCE)
    expect(page.locator(".st-key-skip-1 input")).to_be_checked(timeout=PATIENCE)
    other.context.close()


def test_divergence_is_told_in_words(page: Page, server) -> None:
    open_race(page, server.url, "/?init=he&depth=30&lr=1&lang=en")
    click(page, "play")
    expect(page.locator("[data-testid=board]")).to_contain_text(
        re.compile(r"diverged at step \d+: (the loss is no longer|loss and gradient are still) .+\. The race"),
        timeout=PATIENCE)
    assert "NaN" not in page.locator("[data-testid=board]").inner_text()
    assert ".." not in page.get_by_test_id("summary").text_content()  # sentences that are joined keep one stop
    expect(page.locator(".st-key-play button:visible").first).to_be_disabled(timeout=PATIENCE)
    click(page, "reset")
    wait_board(page, "b.dataset.state === 'ready'")


def test_zoom_is_kept_while_it_runs(page: Page, server) -> None:
    """Zoomed with the mouse, as a person does; Plotly tells such a zoom from one made by a program."""
    open_race(page, server.url)
    click(page, "play")
    wait_board(page, "b.dataset.step > 30")
    plot = page.locator("[data-testid=chart-loss] .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    read_range = "() => document.querySelector('[data-testid=chart-loss] .js-plotly-plot').layout.xaxis.range"
    zoomed, step = page.evaluate(read_range), int(read_board(page)["step"])
    assert zoomed[0] > 0
    wait_board(page, f"b.dataset.step > {step + 60}")
    assert page.evaluate(read_range) == zoomed


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_is_accessible_and_fits(page: Page, server, find_faults, language: str) -> None:
    """With measurements on the board, in both themes; the screenshots are for eyes."""
    SCREENSHOTS.mkdir(exist_ok=True)
    open_race(page, server.url, f"/?lang={language}&steps=200")
    click(page, "play")
    wait_board(page, "b.dataset.state === 'finished'")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in (1440, 1024, 390):
            assert not find_faults(page, (width,)), theme
            board = page.locator("[data-testid=board]")
            assert board.evaluate("b => b.scrollWidth - b.clientWidth") <= 1
            page.screenshot(path=SCREENSHOTS / f"race-{width}-{language}-{theme}.png", full_page=True)
