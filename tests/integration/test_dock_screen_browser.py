"""The dock screen in Debian's Chromium, at the size of a wall and of an old notebook: what it shows, photographed.

Each test leaves its pictures in the test's own folder (``--basetemp`` keeps them).
"""

import pytest

from fixtures.browser import CHROMIUM, browser
from fixtures.screens import served
from station_agent.screen import create_app
from tests.fakes import web_dock
from tests.fakes.web_desk import FakeDesk
from tests.integration.test_pages_browser import assert_stays_here, contrasts

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (optional: apt-get install chromium)"
    ),
    pytest.mark.xdist_group("browser"),
]
SIZES = [(1920, 1080, False), (1366, 768, True)]
"""Width, height, dark."""
CUT = """[...document.querySelectorAll('.tile, header, footer, .panel')].filter(
  (e) => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1
).map((e) => e.dataset.bay || e.tagName)"""

OVERLAP = """document.querySelector('#board header').lastElementChild.getBoundingClientRect().right
  - document.querySelector('.bar').getBoundingClientRect().left"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


class Dock:
    """A served screen whose status the test sets; one server for all tests, since each one takes a second to stop."""

    address = ""
    status = web_dock.busy()
    desk = FakeDesk()


@pytest.fixture(scope="module")
def dock():
    made = Dock()
    with served(create_app(lambda: made.status, beside=web_dock.beside, desk=made.desk)) as made.address:
        yield made


def words(page, selector):
    return page.value(f"[...document.querySelectorAll({selector!r})].map((e) => e.textContent.trim())")


def scan(page, text):
    """Type as a badge reader does, which ends with Enter."""
    for char in text:
        page.call("Input.dispatchKeyEvent", type="keyDown", key=char, text=char)
        page.call("Input.dispatchKeyEvent", type="keyUp", key=char)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    page.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **enter)
    page.call("Input.dispatchKeyEvent", type="keyUp", **enter)


def assert_fits(page, address, width):
    assert_stays_here(page, address)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value(CUT) == []
    assert page.value(OVERLAP) <= 0
    assert contrasts(page) == []


@pytest.mark.parametrize("bays", [4, 9, 12, 25])
@pytest.mark.parametrize(("width", "height", "dark"), SIZES)
def test_every_dock_fits_and_says_each_state_in_words(chromium, dock, tmp_path, bays, width, height, dark):
    dock.status = web_dock.filled(bays)
    page = chromium.page(width, height, dark=dark)
    page.open(dock.address)
    page.picture(tmp_path / f"a1-{bays}-{width}.png")
    assert_fits(page, dock.address, width)
    assert page.value("document.documentElement.scrollHeight") <= height
    assert page.value("[...document.querySelectorAll('.tile')].map((t) => Number(t.dataset.bay))") == [
        *range(1, bays + 1)
    ]
    assert words(page, ".tile .word")[:3] == ["可取走", "读取中", "校验中"]
    assert page.value("document.querySelectorAll('.tile .post .icon').length") >= bays


@pytest.mark.parametrize(("width", "height", "dark"), SIZES)
def test_a_receipt_fits_over_its_bay(chromium, dock, tmp_path, width, height, dark):
    dock.status = web_dock.busy()
    page = chromium.page(width, height, dark=dark)
    page.open(dock.address)
    page.picture(tmp_path / f"a2-{width}.png")
    assert_fits(page, dock.address, width)
    [receipt] = words(page, ".receipt")
    assert "取走回执" in receipt
    assert page.value("document.querySelector('.receipt .qr').getBoundingClientRect().width") >= 100


def test_a_recorder_pulled_early_sounds_after_a_gesture_and_the_page_says_so_before(chromium, dock, tmp_path):
    dock.status = web_dock.busy()
    page = chromium.page(1920, 1080)
    page.open(dock.address)
    page.until("!document.getElementById('sound').hidden")
    page.picture(tmp_path / "a3.png")
    assert "提示音已关" in page.value("document.getElementById('sound').textContent")
    assert page.value("document.body.dataset.sounded || 0") == 0
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=900, y=500, button="left", clickCount=1)
    page.until("document.getElementById('sound').hidden", wait_s=5)
    page.until("Number(document.body.dataset.sounded) === 1", wait_s=5)
    dock.status = web_dock.status(web_dock.bay(6, "reading"))
    page.until("document.querySelectorAll('.alarm').length === 0", wait_s=5)
    assert_stays_here(page, dock.address)


@pytest.mark.parametrize(("width", "height", "dark"), SIZES)
def test_the_technicians_page_fits_and_has_nothing_to_press(chromium, dock, tmp_path, width, height, dark):
    dock.status = web_dock.busy()
    page = chromium.page(width, height, dark=dark)
    page.open(f"{dock.address}/technician")
    page.picture(tmp_path / f"a5-{width}.png")
    assert_fits(page, dock.address, width)
    assert words(page, "main h2")[:2] == ["机位", "签名日志"]
    assert page.value("document.querySelectorAll('button, input, form').length") == 0


@pytest.mark.parametrize(("width", "height", "dark"), SIZES)
def test_an_officer_checks_in_by_badge_takes_a_recorder_and_brings_it_back(
    chromium, dock, tmp_path, width, height, dark
):
    dock.status, dock.desk.held, dock.desk.marked = web_dock.busy(), [], []
    page = chromium.page(width, height, dark=dark)
    page.open(dock.address)
    scan(page, "440100000417")
    page.until("!document.getElementById('desk').hidden")
    page.picture(tmp_path / f"a4-check-in-{width}.png")
    assert words(page, "#desk h2") == ["***0417"]
    assert "440100000417" not in page.value("document.body.innerText")
    page.value("document.querySelector('#desk button[value=important]').click()")
    page.until("document.querySelectorAll('#desk .told.good').length === 1")
    assert dock.desk.marked == [("440100000417", 1, "important")]
    scan(page, "5")
    page.until("document.querySelectorAll('#desk .findings').length === 1")
    page.picture(tmp_path / f"a4-not-ready-{width}.png")
    assert words(page, "#desk .findings li")[:2] == ["还有 2 个文件未入库", "时钟偏差 94 秒"]
    assert_fits(page, dock.address, width)
    scan(page, "无其他设备")
    page.until("document.querySelectorAll('#desk .told.good').length === 1")
    assert dock.desk.held == ["DSJ-8A 2200415"]
    page.value("document.querySelector('form[data-act=return] button').click()")
    page.until("document.querySelector('#desk .told.good').textContent.includes('已归还')")
    page.value("document.querySelector('[data-close]').click()")
    assert page.value("document.getElementById('desk').hidden") is True
    assert page.value("document.getElementById('desk').textContent") == ""


@pytest.mark.parametrize(("width", "height", "dark"), SIZES)
def test_the_screen_fits_in_english_too(chromium, dock, tmp_path, width, height, dark):
    dock.status = web_dock.busy()
    page = chromium.page(width, height, dark=dark)
    page.open(f"{dock.address}/?lang=en")
    page.picture(tmp_path / f"a1-en-{width}.png")
    assert_fits(page, dock.address, width)
