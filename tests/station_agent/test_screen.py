"""The dock screen: what it says of each bay, in which words, and what it must never say."""

import asyncio
import io
import json
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from rich.console import Console

from station_agent.docking import UNRECORDABLE
from station_agent.screen import create_app
from station_agent.screen.app import qr, stream
from station_agent.screen.tiles import (
    FAILURES,
    LOOKS,
    UNCLEAR,
    age_of,
    board_of,
    length_text,
    look_of,
    percent_of,
    remaining,
    size_text,
    tile_of,
)
from station_agent.states import MAY_TAKE, BayState
from station_agent.terminal import shown, watch
from tests.conftest import ROOT
from tests.fakes import web_catalogue
from tests.fakes.web_dock import GB, bay, beside, busy, receipt, status

PACKAGE = Path(str(files("station_agent.screen")))
NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)


def client(value, **more):
    return TestClient(create_app(lambda: value, now=lambda: NOON, **more))


def page(value, query="", **more):
    answer = client(value, **more).get(f"/{query}")
    assert answer.status_code == 200
    return answer.text


def test_every_state_of_the_station_has_a_look():
    assert set(LOOKS) == {str(state) for state in BayState}


@pytest.mark.parametrize("state", list(BayState))
def test_green_is_shown_only_for_states_in_which_a_recorder_may_be_taken(state):
    look = LOOKS[state]
    green = look.tone in {"good", "good-warn"}
    assert green == (state in MAY_TAKE and state is not BayState.UNREGISTERED)
    assert green == ("Safe to take" in {look.word, look.advice})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("idle", ["空闲"]),
        ("identifying", ["识别中", "请勿取走"]),
        ("unregistered", ["设备未登记", "请找管理员"]),
        ("reading", ["读取中", "请勿取走"]),
        ("verifying", ["校验中", "请勿取走"]),
        ("waiting-upload", ["等待上传", "可取走"]),
        ("safe", ["可取走"]),
        ("no-new-data", ["无新数据", "可取走"]),
        ("safe-with-warnings", ["完成，有警告", "可取走"]),
        ("error", ["读错误", "请找管理员"]),
        ("pulled-early", ["被提前拔出", "请插回"]),
        ("erasing", ["清空中", "请勿取走"]),
        ("no-space", ["空间不足", "请稍候，请勿取走"]),
    ],
)
def test_the_words_of_each_state(state, words):
    tile = page(status(bay(3, state))).split("<section", 1)[1].split("</section>")[0]
    for word in words:
        assert f">{word}</p>" in tile
    assert re.search(r"icons\.svg#[a-z-]+", tile)


@pytest.mark.parametrize("state", ["safe", "waiting-upload", "no-new-data", "safe-with-warnings"])
def test_a_green_state_that_its_own_figures_deny_is_not_green(state):
    assert look_of(bay(1, state, files_done=11, files_total=12)) is UNCLEAR
    assert look_of(bay(1, state, files_done=12, files_total=12)) is LOOKS[state]


@pytest.mark.parametrize("state", ["", "SAFE", "safe ", "erased", None])
def test_an_unknown_state_says_do_not_take(state):
    assert look_of({"bay": 1, "state": state}) is UNCLEAR
    assert "请勿取走，请找管理员" in page(status(bay(1, "x")))


def test_percent_reaches_100_only_at_the_end():
    assert percent_of(bay(1, "reading", bytes_done=GB - 1, bytes_total=GB)) == 99
    assert percent_of(bay(1, "reading", bytes_done=GB, bytes_total=GB)) == 100
    assert percent_of(bay(1, "reading")) is None


def test_time_left_is_rounded_up():
    assert [remaining(s).count for s in (0, 1, 60, 61, 189)] == [1, 1, 1, 2, 4]
    assert remaining(7201).unit == "hours"
    text = page(status(bay(2, "reading", eta_s=189, bytes_done=GB, bytes_total=2 * GB, files_done=3, files_total=12)))
    assert "约 4 分钟" in text
    assert "文件 3/12" in text
    assert "50 %" in text


def test_sizes_and_rates_are_for_people():
    assert [size_text(n) for n in (0, 999, 1000, 61_400_000, 2 * GB, 3_000 * GB)] == [
        "0 B",
        "999 B",
        "1 kB",
        "61.4 MB",
        "2.0 GB",
        "3.0 TB",
    ]
    assert tile_of(bay(1, "reading", rate_bytes_s=61_400_000)).rate == "61.4 MB/s"
    assert tile_of(bay(1, "safe", rate_bytes_s=61_400_000)).rate == ""


def test_bays_are_in_hardware_order():
    board = board_of(status(bay(10, "idle"), bay(2, "idle"), bay(1, "idle")))
    assert [tile.bay for tile in board.tiles] == [1, 2, 10]


def test_the_header_says_whether_the_centre_is_reached_and_what_waits():
    assert "中心：正常" in page(status(bay(1, "idle")))
    assert "中心：离线，17 项待传" in page(status(bay(1, "idle"), online=False, outbox=17))


def test_the_footer_explains_what_safe_means():
    assert "可取走 = 已全部拷贝、重读校验、SHA-256 一致并已入账。" in page(busy())


def test_an_empty_dock_invites_and_a_dock_without_bays_says_what_is_missing():
    assert "插入任一机位，等到显示“可取走”再取。" in page(status(bay(1, "idle"), bay(2, "idle")))
    assert "[bays]" in page(status())


def test_a_poor_status_is_shown_as_unknown_and_never_as_good():
    text = page({})
    assert "采集程序运行异常" in text
    assert "可取走</p>" not in text
    assert "中心：正常" not in text


def test_a_pulled_recorder_is_asked_back_with_the_count_of_what_is_left():
    assert "请插回 6 号位，还剩 2 个文件" in page(status(bay(6, "pulled-early", files_done=10, files_total=12)))


def test_a_pulled_bay_is_amber_all_over_and_is_the_only_one_that_sounds():
    text = page(busy())
    assert re.findall(r'class="tile ([a-z-]+) alarm" data-bay="(\d+)"', text) == [("warn", "6")]


def test_the_header_says_clock_room_and_how_long_the_centre_is_away():
    text = page(busy(), beside=lambda _: beside())
    for words in ("中心：离线，17 项待传", "已 3 小时", "时钟已同步", "可存录像约 122 小时", "今日插入 14 次"):
        assert words in text
    poor = page(busy())
    assert "时钟未同步" in poor
    assert not re.search("可存录像|今日插入|已 3 小时", poor)


def test_ages_and_lengths_are_rounded_down():
    found = [age_of(n * 1000) for n in (-5, 59, 60, 7199, 7200, 172_799, 172_800)]
    assert [(a.count, a.unit) if a else None for a in found] == [
        None,
        None,
        (1, "minutes"),
        (119, "minutes"),
        (2, "hours"),
        (47, "hours"),
        (2, "days"),
    ]
    assert length_text(18_754_999) == "5:12:34"


def test_a_tile_shows_whose_recorder_it_is_and_its_mark():
    told = {"bays": {"2": {"officer": "***0418", "mark": "important"}}}
    text = page(status(bay(2, "reading", label="DSJ")), beside=lambda _: told)
    assert "***0418" in text
    assert "重要" in text
    assert "重要" not in page(status(bay(3, "reading", label="DSJ")), beside=lambda _: told)


def test_a_receipt_stands_over_an_empty_bay_only():
    told = {"receipts": [receipt(3)]}
    text = page(status(bay(3, "idle")), beside=lambda _: told)
    for words in ("取走回执", "12 个文件", "18.0 GB", "5:12:34", "11-21 20:03 – 11-22 04:41 +0800", "时钟偏差 94 秒"):
        assert words in text
    for words in ("缺口 08:12:00–08:19:30", "已重读，SHA-256 一致", "#1283 custody.example/station-07", "5f3c9a71" * 8):
        assert words in text
    assert 'class="qr"' in text
    assert "取走回执" not in page(status(bay(3, "identifying")), beside=lambda _: told)
    assert "取走回执" not in page(status(bay(4, "idle")), beside=lambda _: told)


def test_a_receipt_says_when_its_length_is_of_some_files_only_and_when_nothing_was_read_back():
    told = {"receipts": [receipt(3, described=11, level="cached", warnings=[])]}
    text = page(status(bay(3, "idle")), beside=lambda _: told)
    assert "≥ 5:12:34" in text
    assert "仅经缓存重读，未证明已落盘" in text
    nothing = {"receipts": [receipt(3, files=0, duration_ms=None, level="", span="", warnings=[])]}
    text = page(status(bay(3, "idle")), beside=lambda _: nothing)
    assert "无新数据" in text
    assert "SHA-256 一致</p>" not in text


def test_the_picture_of_a_receipt_is_its_number_and_nothing_of_the_page():
    assert qr("#1 custody.example/s ab") == qr("#1 custody.example/s ab")
    assert qr("#1 custody.example/s ab") != qr("#2 custody.example/s ab")
    assert "<script" not in qr("<script>alert(1)</script>")
    assert "style=" not in qr("#1")


def test_what_stands_beside_the_status_is_passed_on():
    visitor = client(busy(), beside=lambda status: {"bays": {}, "station": status["station"]})
    assert visitor.get("/api/dock").json() == {"bays": {}, "station": "station-07"}


def test_the_technicians_page_says_ports_log_queues_and_errors_and_has_nothing_to_press():
    answer = client(busy(), beside=lambda _: beside()).get("/technician")
    for words in (
        "pci-0000:00:14.0-usb-0:2:1.0-scsi-0:0:0:0",
        "*usb-0:12:1.0*",
        "61.4 MB/s",
        "custody.example/station-07",
        "q1Zt0m2hTn4g3H0y7S8vQkq8l1k6",
        "尚差 17 条",
        "DCIM/100/MOV_0003.MP4",
        '<dt title="read-error">读取失败</dt><dd>4</dd>',
        "<dt>待发队列</dt><dd>17</dd>",
    ):
        assert words in answer.text
    assert not re.search("<form|<input|<button", answer.text)
    poor = client({}).get("/technician").text
    assert "时钟未同步" in poor
    assert "尚差" not in poor


def test_a_view_that_is_none_is_refused():
    assert client(busy()).get("/frame/page").status_code == 422
    assert "尚差" in client(busy(), beside=lambda _: beside()).get("/frame/technician").json()["html"]


def test_the_terminal_shows_what_the_screen_and_the_technicians_page_show():
    told = io.StringIO()
    evil = status(bay(1, "reading", label="\x1b[31mDSJ", files_done=1, files_total=2, bytes_total=2 * GB, eta_s=61))
    looks = iter([(busy(), beside()), (evil, {})])
    watch(lambda: next(looks), Console(file=told, width=200), rounds=1)
    for words in (
        "读取中 Reading",
        "3/12 6.4/18.0 GB 约 4 分钟",
        "***0418",
        "61.4 MB/s",
        "usb-0:2:1.0",
        "cosigned 1267",
    ):
        assert words in told.getvalue()
    for words in ("中心：离线 offline，17 项待传", "可存录像约 122 小时", "MOV_0003.MP4: read-error", "read-error 4"):
        assert words in told.getvalue()
    console = Console(file=told, width=200)
    console.print(shown(*next(looks)))
    assert "\x1b[31m" not in told.getvalue()
    assert "约 2 分钟" in told.getvalue()


def test_hostile_labels_and_warnings_stay_text():
    evil = '"><script>alert(1)</script>'
    text = page(status(bay(1, "error", label=evil, warnings=[evil, evil, evil]), bay(2, "safe", serial=evil)))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "另有 1 条警告" in text


def test_warnings_are_said_in_words_and_unknown_ones_as_they_came():
    told = ["clock-offset:-94321", "failed:2"]
    text = page(status(bay(1, "safe-with-warnings", warnings=told), bay(2, "error", warnings=["refused:3", "new:%s"])))
    for words in ("时钟偏差 94 秒", "2 个文件未能拷贝", "3 个条目未读取", "new:%s"):
        assert words in text


def test_the_language_is_chinese_first_and_is_remembered():
    visitor = client(busy())
    assert '<html lang="zh-CN">' in visitor.get("/", headers={"accept-language": "en"}).text
    english = visitor.get("/?lang=en")
    assert '<html lang="en">' in english.text
    assert "Do not take" in english.text
    assert "Do not take" in visitor.get("/").text
    assert "请勿取走" in visitor.get("/?lang=zh-CN").text
    assert '<html lang="zh-CN">' in client(busy()).get("/?lang=<script>").text


def test_the_page_shows_the_time_with_its_zone():
    assert "2026-11-22 12:00:00 Asia/Shanghai" in page(busy())


def test_the_status_is_passed_on_unchanged():
    assert client(busy()).get("/api/status").json() == busy()
    assert client(busy()).get("/frame/board").json()["status"] == busy()


def test_the_stream_sends_the_status_on_change_and_a_frame_each_tick():
    statuses = iter([busy(), busy(), status(bay(1, "safe"))])
    left = [True, True, True]

    async def frame():
        left.pop()
        return {"clock": "12:00", "html": "<p>", "status": next(statuses)}

    async def collect():
        return [event async for event in stream(frame, lambda: not left, tick_s=0)]

    events = asyncio.run(collect())
    assert [event.split("\n")[0] for event in events] == [
        "event: status",
        "event: screen",
        "event: screen",
        "event: status",
        "event: screen",
    ]
    data = json.loads(events[0].split("\n")[1].removeprefix("data: "))
    assert data == busy()
    assert all(event.endswith("\n\n") and event.count("\n") == 3 for event in events)


def test_open_streams_end_when_the_agent_stops():
    answer = client(busy(), stopped=lambda: True).get("/events/board")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == ""


def test_nothing_is_inline_and_nothing_comes_from_outside():
    answer = client(busy()).get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|<style", answer.text)
    for file in (PACKAGE / "static").glob("*.[jc]s*"):
        assert not re.search(r"https?://|//[a-z]", file.read_text().replace("// ", ""))
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


def test_no_documentation_pages_from_a_public_host():
    visitor = client(busy())
    assert [visitor.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]
    assert set(visitor.get("/openapi.json").json()["paths"]) == {"/api/dock", "/api/status", "/healthz"}


@pytest.mark.parametrize("name", sorted(file.name for file in (PACKAGE / "static").glob("*.js")))
def test_the_scripts_are_short_and_plain(name):
    script = (PACKAGE / "static" / name).read_text()
    assert len(script.splitlines()) <= 150
    assert not re.search(r"\?\?=|\|\|=|&&=|\.at\(|structuredClone|Object\.hasOwn|#[a-z]\w*\(|\.replaceAll\(", script)


def test_the_style_keeps_to_chromium_88():
    style = (PACKAGE / "static/screen.css").read_text()
    assert not re.search(r":has\(|@layer|@container|color-mix\(|\ddvh|accent-color|subgrid", style)


def test_the_chinese_catalogue_is_complete():
    assert web_catalogue.said_in(PACKAGE) > {"Safe to take", "Dock", "about %(length)s"}
    assert {name: found for name, found in web_catalogue.gaps(PACKAGE).items() if found} == {}


def test_every_reason_that_the_station_records_is_said_in_words():
    source = "".join(path.read_text() for path in (ROOT / "station_agent").rglob("*.py"))
    said = {
        *re.findall(r'CopyError\(\s*"([a-z-]+)"', source),
        *re.findall(r'_not_readable\(docking, "([a-z-]+)"', source),
        *re.findall(r'S_IF[A-Z]+: "([a-z-]+)"', source),
        *re.findall(r'SourceFile\([^()"]*, "([a-z-]+)"\)', source),
        UNRECORDABLE,
    }
    assert len(said) > 15
    assert said - FAILURES.keys() == set()
