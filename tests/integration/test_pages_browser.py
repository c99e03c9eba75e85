"""The pages in Debian's Chromium: nothing leaves the host, no name runs, the film seeks, staleness is said."""

import shutil
from urllib.parse import urlsplit

import pytest

from fixtures.browser import CHROMIUM, browser
from fixtures.screens import pages_with_film, served
from ingestd.web.app import create_app as create_pages
from station_agent.screen import create_app as create_dock
from tests.fakes import web_dock
from tests.fakes.web_queries import TYPES, clip, object_id, stored, story

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (optional: apt-get install chromium)"
    ),
    pytest.mark.xdist_group("browser"),
]
PATHS = [
    "/",
    "/clips",
    f"/clips/{object_id(10)}",
    "/flags",
    "/actions",
    "/actions/XZ-2026-0117-01",
    "/?lang=en&theme=dark",
]


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


def assert_stays_here(page, address):
    # Chromium draws its own controls from data: addresses; they leave nothing.
    asked = [urlsplit(url) for url in page.requests if not url.startswith(("about:", "data:"))]
    assert {url.netloc for url in asked} == {urlsplit(address).netloc}
    assert page.complaints == []


def contrasts(page):
    """Text that is harder to read than WCAG AA asks (4.5, or 3 when large), as ``text: ratio``."""
    return page.value("""(() => {
      const one = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
      const light = (c) => 0.2126 * one(c[0]) + 0.7152 * one(c[1]) + 0.0722 * one(c[2]);
      const parse = (s) => (s.match(/[\\d.]+/g) || []).map(Number);
      const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
        if (c.length === 3 || c[3] > 0.9) return c; } return [255, 255, 255]; };
      const bad = [];
      for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || e.closest('svg, option, video, [hidden]') || !e.getClientRects().length) continue;
        const style = getComputedStyle(e), a = light(parse(style.color)), b = light(ground(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (ratio < (large ? 3 : 4.5)) bad.push(`${e.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
      }
      return bad;
    })()""")


@pytest.mark.parametrize("dark", [False, True])
def test_the_centres_pages_stay_on_the_host_fit_and_are_readable(chromium, dark):
    with served(create_pages(story(), stored(story()), types=TYPES)) as address:
        for path in PATHS:
            page = chromium.page(1366, 768, dark=dark)
            page.open(address + path)
            assert_stays_here(page, address)
            assert page.value("document.documentElement.scrollWidth") <= 1366, path
            assert contrasts(page) == [], path
            assert page.value("typeof window.htmx") == "object"


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1366, 768)])
@pytest.mark.parametrize("dark", [False, True])
def test_the_dock_fits_its_screen_and_is_readable(chromium, width, height, dark):
    with served(create_dock(web_dock.busy)) as address:
        page = chromium.page(width, height, dark=dark)
        page.open(address)
        assert_stays_here(page, address)
        assert page.value("document.documentElement.scrollHeight") <= height
        assert page.value("document.documentElement.scrollWidth") <= width
        assert contrasts(page) == []
        cut = "[...document.querySelectorAll('.tile')].filter((t) => t.scrollHeight > t.clientHeight + 1).length"
        assert page.value(cut) == 0


def test_the_bay_number_is_the_largest_thing_on_its_tile(chromium):
    with served(create_dock(web_dock.busy)) as address:
        page = chromium.page(1920, 1080)
        page.open(address)
        sizes = """[...document.querySelectorAll('.tile')].map((tile) => {
          const size = (e) => parseFloat(getComputedStyle(e).fontSize);
          return [...tile.querySelectorAll('span, p, b')].sort((a, b) => size(b) - size(a))[0].className;
        })"""
        assert set(page.value(sizes)) == {"number"}


def test_the_dock_follows_the_status_and_says_when_it_no_longer_can(chromium):
    now = {"status": web_dock.status(web_dock.bay(1, "reading", label="BWC0001"))}
    with served(create_dock(lambda: now["status"])) as address:
        page = chromium.page(1920, 1080)
        page.open(address)
        page.until("document.querySelector('.word').textContent === '读取中'")
        now["status"] = web_dock.status(web_dock.bay(1, "safe", label="BWC0001"))
        page.until("document.querySelector('.word').textContent === '可取走'", wait_s=5)
        assert page.value("document.getElementById('stale').hidden") is True
    page.until("!document.getElementById('stale').hidden", wait_s=15)
    assert page.value("Number(document.getElementById('stale-age').textContent)") >= 5
    assert page.value("document.body.classList.contains('stale')") is True


def test_the_dock_polls_when_events_are_refused(chromium):
    now = {"status": web_dock.status(web_dock.bay(1, "reading"))}
    with served(create_dock(lambda: now["status"], stopped=lambda: True)) as address:
        page = chromium.page(1920, 1080)
        page.open(address)
        now["status"] = web_dock.status(web_dock.bay(1, "safe"))
        page.until("document.querySelector('.word').textContent === '可取走'", wait_s=8)
        assert any(url.endswith("/frame/board") for url in page.requests)


def test_a_hostile_name_runs_nothing(chromium):
    index = story()
    with served(create_pages(index, stored(index), types=TYPES)) as address:
        page = chromium.page()
        page.open(f"{address}/clips/{object_id(10)}")
        assert page.value("document.querySelector('h1').textContent").startswith('"><script>alert(1)</script>')
        assert page.value("document.querySelectorAll('script:not([src])').length") == 0


def test_filters_and_paging_work_by_htmx_and_keep_the_address(chromium):
    index = story()
    index.details += [clip(100 + n, f"F{n}.MP4", "19 09:00:00", 1) for n in range(70)]
    with served(create_pages(index, stored(index), types=TYPES)) as address:
        page = chromium.page()
        page.open(address + "/clips")
        first = page.value("document.querySelector('td.path').textContent")
        page.value("document.querySelector('.pager a').click()")
        page.until(f"document.querySelector('td.path').textContent !== {first!r}")
        assert "after=" in page.value("location.search")
        page.value(
            "(() => { const s = document.querySelector('[name=linked]'); s.value = 'yes';"
            " s.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        page.until("location.search.includes('linked=yes')")
        page.until("document.querySelectorAll('td.path').length === 5")
        assert_stays_here(page, address)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg, which makes the film, is not installed")
def test_the_film_plays_and_seeks_by_range(chromium):
    with served(pages_with_film()) as address:
        page = chromium.page()
        page.open(f"{address}/clips/{object_id(1)}")
        page.until("document.querySelector('video').readyState >= 2")
        page.value("document.querySelector('video').currentTime = 3")
        page.until("!document.querySelector('video').seeking && document.querySelector('video').currentTime === 3")
        assert page.value("document.querySelector('video').error") is None
        assert (
            page.value(
                f"fetch('/media/{object_id(1)}/proxy', {{headers: {{Range: 'bytes=5-9'}}}}).then((r) => r.status)"
            )
            == 206
        )
        assert_stays_here(page, address)
