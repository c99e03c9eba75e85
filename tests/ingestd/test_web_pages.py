"""The centre's pages: numbers that agree, text that stays text, clear answers to bad requests."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from custody.canonical import JsonValue
from ingestd.errors import DatabaseError
from ingestd.flag_life import LISTED
from ingestd.index.queries import ClipFilter, FileRow
from ingestd.link import NO_LINK
from ingestd.rules.wording import REASONS
from ingestd.web.app import create_app
from ingestd.web.assets import HTMX, assets
from ingestd.web.words import CODES, VERDICT
from tests.fakes import web_catalogue
from tests.fakes.web_queries import HOSTILE, SHOWN_HOSTILE, TYPES, FakeMedia, at, clip, digest, object_id, story

PACKAGE = Path(str(files("ingestd.web")))
NOW = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)
HTMX_SHA256 = "491955cd1810747d7d7b9ccb936400afb760e06d25d53e4572b64b6563b2784e"
PAGES = [
    "/",
    "/clips",
    "/clips?linked=no",
    f"/clips/{object_id(1)}",
    f"/clips/{object_id(10)}",
    f"/clips/{object_id(8)}",
    "/flags",
    "/flags?state=all",
    "/actions",
    "/files",
    "/files?state=pending",
    "/files?state=copied",
    "/actions/XZ-2026-0117-01",
    "/actions/XZ-2026-0121-01",
    "/actions/JH-2026-0007",
    "/clips?officer=nobody",
    "/nowhere",
    "/clips?linked=maybe",
]


@pytest.fixture
def index():
    return story()


@pytest.fixture
def visitor(index):
    return TestClient(create_app(index, FakeMedia(), types=TYPES, now=lambda: NOW))


def text_of(answer, status=200):
    assert answer.status_code == status
    return answer.text


def cards(text):
    """Count and address of each work queue."""
    found = re.findall(r'class="queue \w+" href="([^"]+)">\s*<span class="count">(\d+)</span>', text)
    return {unescape(href): int(count) for href, count in found}


def test_each_count_on_the_first_page_is_the_length_of_its_list(visitor):
    queues = cards(text_of(visitor.get("/")))
    assert queues["/clips?linked=no"] == 3
    assert queues["/flags?rule=missing-full-process-video"] == 1
    assert queues["/flags?rule=full-process-gap"] == 1
    assert queues["/clips?status=quarantined"] == 2
    for href, count in queues.items():
        text = text_of(visitor.get(href))
        rows = len(set(re.findall(r'<td class="path"><a href="(/clips/[^"]+)"', text))) + text.count(
            '<article class="flag'
        )
        assert rows == count, href


def test_a_planned_act_has_a_page_until_it_takes_place(visitor, index):
    text = text_of(visitor.get("/actions/JH-2026-0007"))
    assert "计划中；尚无登记表明已经实施。" in text
    assert "2026-11-27 09:00:00" in text

    index.acts.append(replace(index.acts[0], action=replace(index.acts[0].action, action_id="JH-2026-0007")))
    assert "计划中" not in text_of(visitor.get("/actions/JH-2026-0007"))


def test_counts_go_on_beyond_one_read(visitor, index):
    flag = index.raised[0]
    index.raised = [replace(flag, flag_id=f"full-process-gap:{n}", action_id=f"A-{n}") for n in range(1201)]
    assert cards(text_of(visitor.get("/")))["/flags?rule=full-process-gap"] == 1201


def test_rare_queues_appear_only_with_something_in_them(visitor, index):
    assert "无法核验的消息" not in text_of(visitor.get("/"))
    index.raised.append(replace(index.raised[0], rule="message-unverifiable", flag_id="m", inputs={}))
    assert cards(text_of(visitor.get("/")))["/flags?rule=message-unverifiable"] == 1
    index.raised.append(replace(index.raised[0], rule="anchor-missing", flag_id="a", inputs={}))
    assert "未取得外部证明" in text_of(visitor.get("/"))


def test_files_that_never_came_are_said(visitor, index):
    index.found_more = 2
    assert "有 2 个文件在记录仪上见到，但既未采集也未报失败。" in text_of(visitor.get("/"))


def test_an_empty_centre_says_so(visitor, index):
    index.details, index.acts, index.raised = [], [], []
    assert "所有片段均已归入执法活动。" in text_of(visitor.get("/"))
    assert "还没有片段到达" in text_of(visitor.get("/clips"))
    assert "ingestd cases import FILE" in text_of(visitor.get("/actions"))
    assert "没有符合条件的标记。" in text_of(visitor.get("/flags"))


def test_filters_of_the_url_reach_the_index(visitor, index):
    query = "linked=no&status=indexed&officer=140801023&recorder=BWC0001&from=2026-11-20T21:00&to=2026-11-20&text=MP4"
    text = text_of(visitor.get(f"/clips?{query}"))
    assert index.asked[-1] == ClipFilter(
        linked=False,
        status="indexed",
        officer="140801023",
        recorder="BWC0001",
        text="MP4",
        from_ms=at("20 21:00:00"),
        until_ms=at("21 00:00:00"),
    )
    assert 'value="140801023"' in text
    assert '<option value="no" selected>' in text


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("linked=maybe", "yes | no"),
        ("status=lost", "received | indexed | quarantined"),
        ("verdict=good", "unchecked | verified | failed | missing"),
        ("kind=film", "video | audio"),
        ("from=yesterday", "2026-11-22T08:00"),
        ("to=9999-12-31T23:59:59-23:59", "2026-11-22"),
        ("from=0001-01-01", "2026-11-22"),
        (f"text={'x' * 201}", "≤ 200"),
    ],
)
def test_a_bad_filter_gets_a_clear_page(visitor, query, allowed):
    text = unescape(text_of(visitor.get(f"/clips?{query}"), 400))
    assert f"筛选条件“{query.split('=')[0]}”无法使用" in text
    assert allowed in text
    problem = visitor.get(f"/api/v1/clips?{query}")
    assert problem.status_code == 400
    assert problem.json()["status"] == 400
    assert problem.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    ["/clips?text=%00", "/clips?after=a%00", "/flags?action=%00", "/actions?case=%00", "/actions/%00", "/clips/%00"],
)
def test_a_nul_is_refused_before_the_database_sees_it(visitor, index, path):
    assert "NUL" in text_of(visitor.get(path), 400)
    assert index.asked == []


def test_every_reason_of_linking_and_of_a_gap_has_a_word():
    assert set(NO_LINK) | set(REASONS) <= set(CODES)


def test_a_bad_flag_filter_gets_a_clear_page(visitor):
    assert " | ".join(LISTED) in text_of(visitor.get("/flags?state=x"), 400)
    assert "full-process-gap" in text_of(visitor.get("/flags?rule=x"), 400)


@pytest.mark.parametrize("path", ["/clips/1", f"/clips/{object_id(99)}", "/actions/none", "/nowhere", "/media/1/proxy"])
def test_what_is_not_there_is_a_404_page_with_a_way_back(visitor, path):
    text = text_of(visitor.get(path), 404)
    assert "回到工作台" in text
    assert "没有" in text


def test_an_index_that_fails_is_said_and_not_shown_as_empty(visitor, index):
    index.fails_with = DatabaseError("gone")
    assert "索引或证据库没有响应" in text_of(visitor.get("/"), 503)
    assert visitor.get("/healthz").status_code == 503
    assert visitor.get("/api/v1/summary").json()["title"] == "Service Unavailable"


def test_pages_go_on_after_the_last_row(visitor, index):
    index.details = [clip(n, f"F{n}.MP4", "20 09:00:00", 1) for n in range(1, 121)]
    seen, query = [], "/clips?kind=video"
    while query:
        text = text_of(visitor.get(query))
        seen += re.findall(r'<td class="path"><a href="/clips/([^"]+)"', text)
        following = re.search(r'<a class="button" href="(\?[^"]*after=[^"]+)"', text)
        query = "/clips" + unescape(following[1]) if following else ""
        assert not query or "kind=video" in query
    assert len(seen) == len(set(seen)) == 120
    assert "回到最新" in text


@pytest.mark.parametrize("path", PAGES)
def test_every_page_in_both_languages_has_nothing_inline_and_nothing_foreign(visitor, path):
    for tongue in ("zh-CN", "en"):
        answer = visitor.get(path, params={"lang": tongue} if "?" not in path else None, cookies={"lang": tongue})
        assert f'<html lang="{tongue}"' in answer.text
        assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|<style|javascript:", answer.text)
        assert not re.search(r'(?:src|href|action|hx-get)="(?:[a-z]+:)?//', answer.text)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "None" not in answer.text


def test_a_hostile_name_is_text_wherever_it_stands(visitor, index):
    evil = clip(
        11, HOSTILE, "20 09:05:00", 1, recorder=HOSTILE, officer=HOSTILE, officer_name=HOSTILE, case_stated=HOSTILE
    )
    stated: dict[str, JsonValue] = {"source": HOSTILE, "raw": HOSTILE, "zone": HOSTILE, "utc_ms": None}
    media: dict[str, JsonValue] = {"start": {"source": HOSTILE, "utc_ms": 1}, "times": [stated]}
    index.details.append(replace(evil, media=media, media_type=HOSTILE, name=HOSTILE))
    act = index.acts[0]
    index.acts[0] = replace(
        act, clips={**act.clips, evil.row.object_id: evil.row}, officer_names={"140801023": HOSTILE}
    )
    index.raised[0] = replace(index.raised[0], case=HOSTILE, article=HOSTILE, inputs={HOSTILE: [HOSTILE]})
    for path in ("/", "/clips", f"/clips/{object_id(11)}", "/actions/XZ-2026-0117-01", "/flags"):
        text = text_of(visitor.get(path))
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
    echoed = visitor.get("/clips", params={"text": HOSTILE}).text
    assert "<script>alert" not in echoed


def test_the_clip_page_shows_times_side_by_side(visitor):
    text = text_of(visitor.get(f"/clips/{object_id(1)}"))
    assert "2026-11-20 09:01:34 <small>+08:00</small>" in text
    assert "+94.0 s" in text
    assert "2026-11-20 09:00:00 <small>+08:00</small>" in text
    assert "± 4.0 s" in text
    assert "20261120090134" in text


@pytest.mark.parametrize(
    ("station", "words"),
    [
        ({"station": {"synchronised": "yes", "uncertainty_ms": 400}}, "采集站时钟误差不超过 0.4 s"),
        ({"station": {"synchronised": "no", "uncertainty_ms": None}}, "采集站自身时钟未同步"),
        ({}, ""),
    ],
)
def test_the_clip_page_says_how_right_the_clock_was_that_measured(visitor, index, station, words):
    detail = index.details[0]
    clock = {"offset_ms": 94_000, "uncertainty_ms": 3000, "method": "connect-write", **station}
    index.details[0] = replace(detail, media={**detail.media, "clock": clock})
    text = text_of(visitor.get(f"/clips/{object_id(1)}"))
    assert words in text
    assert ("采集站时钟" in text or "采集站自身时钟" in text) == bool(words)


def test_an_unmeasured_clock_and_an_unknown_time_are_said(visitor):
    text = text_of(visitor.get(f"/clips/{object_id(9)}"))
    assert "未测量" in text
    assert "时间不明" in text
    assert "文件没有内容" in text


def test_the_clip_page_names_proxy_digests_links_and_custody(visitor, index):
    text = text_of(visitor.get(f"/clips/{object_id(1)}"))
    assert "代理画面，非原始文件" in text
    assert f'<video controls preload="metadata" src="/media/{object_id(1)}/proxy">' in text
    assert index.details[0].digests["sha256"] in text
    for event in index.details[0].events:
        assert event.leaf in text
        assert event.signer in text
        assert event.event in text
    assert "台账：记录仪由该执法人员领用" in text
    assert "此文件没有代理画面" in text_of(visitor.get(f"/clips/{object_id(8)}"))


def test_a_flag_explains_itself(visitor):
    text = text_of(visitor.get("/flags?rule=full-process-gap"))
    assert "全程录像有 2 处缺口" in text
    for word in (
        "规定要求",
        "判定方法",
        "由谁处理",
        "依据",
        "行政强制法",
        "full-process-gap",
        "中心账本第 41 条",
        "gap_count",
    ):
        assert word in text
    assert "始于" in text
    english = text_of(visitor.get("/flags?rule=full-process-gap&lang=en"))
    assert "69.0% is on video" in english


def test_a_flag_of_an_unknown_rule_keeps_its_words(visitor, index):
    index.raised = [replace(index.raised[0], rule="of-the-future", detail="未来的规则 a later rule")]
    assert "未来的规则 a later rule" in text_of(visitor.get("/flags"))


def test_language_and_theme_are_remembered(visitor):
    assert '<html lang="zh-CN" data-theme="auto">' in text_of(visitor.get("/", headers={"accept-language": "en"}))
    visitor.get("/?lang=en&theme=dark")
    text = text_of(visitor.get("/clips?linked=no"))
    assert '<html lang="en" data-theme="dark">' in text
    assert 'href="?linked=no&amp;lang=zh-CN"' in text


def test_json_has_the_agreed_shape(visitor, index):
    assert visitor.get("/api/v1/summary").json() == index.summary().as_json()
    clips = visitor.get("/api/v1/clips?linked=no&limit=2").json()
    assert [row["path"] for row in clips["clips"]] == [SHOWN_HOSTILE, index.details[5].row.path]
    rest = visitor.get(f"/api/v1/clips?linked=no&after={clips['next']}").json()
    assert len(rest["clips"]) == 1
    assert rest["next"] is None
    flags = visitor.get("/api/v1/flags?rule=missing-full-process-video").json()["flags"]
    assert [(flag["rule"], flag["action_id"]) for flag in flags] == [("missing-full-process-video", "XZ-2026-0121-01")]
    assert visitor.get("/api/v1/clips?limit=0").status_code == 400
    missing = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "没有这个页面。"}
    assert visitor.get("/api/v1/nothing").json() == missing
    english = visitor.get("/api/v1/nothing", headers={"accept-language": "en-GB,zh;q=0.5"}).json()
    assert english["detail"] == "There is no such page."


def test_the_schema_lists_only_json_and_no_page_loads_from_outside(visitor):
    paths = set(visitor.get("/openapi.json").json()["paths"])
    lists = {f"/api/v1/{name}" for name in ("summary", "clips", "actions", "flags", "cases")}
    single = {"/api/v1/clips/{object_id}", "/api/v1/actions/{action_id}", "/api/v1/flags/{flag_id}"}
    assert paths == {*lists, *single, "/healthz"}
    assert [visitor.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]


def test_assets_have_their_digest_in_the_address(visitor):
    for asset in assets().values():
        answer = visitor.get(asset.url)
        assert answer.content == asset.body
        assert "immutable" in answer.headers["cache-control"]
    assert visitor.get(assets()[HTMX].url.replace(assets()[HTMX].sha256, digest("x"))).status_code == 404
    assert visitor.get(f"/assets/{digest('x')}/..%2fapp.py").status_code == 404


def test_htmx_is_the_file_we_examined():
    # htmx 2.0.3 as in django-js-lib-htmx 2.0.3.1; a new version changes this line after its diff was read.
    assert assets()[HTMX].sha256 == HTMX_SHA256


def test_the_style_keeps_to_chromium_88():
    style = (PACKAGE / "static/web.css").read_text()
    assert not re.search(r":has\(|@layer|@container|color-mix\(|\ddvh|accent-color|subgrid|https?:", style)


def test_the_chinese_catalogue_is_complete():
    said = web_catalogue.said_in(PACKAGE)
    assert said > {"Work queues", "Why was this flagged?", "%(num)s suggestion"}
    assert {word.text for word in VERDICT.values()} <= said
    assert {name: found for name, found in web_catalogue.gaps(PACKAGE).items() if found} == {}


@pytest.mark.parametrize(
    ("hindrance", "said"), [("", "answers"), ("subscription-refused: x", "subscription-refused: x")]
)
def test_health_says_what_hinders_messages(index, hindrance, said):
    visitor = TestClient(create_app(index, FakeMedia(), types=TYPES, hindrance=lambda: hindrance))
    assert visitor.get("/healthz").json()["broker"] == said


def test_files_that_could_not_be_copied_are_named_with_their_reason(visitor, index):
    index.seen.append(
        FileRow("f1", "station-07", "REC1", "DCIM/<b>1.MP4", 7, at("20 18:05:00"), "failed", "read-error")
    )
    index.seen.append(FileRow("f2", "st-07", "REC1", "DCIM/2.MP4", 7, at("20 18:05:00"), "pending", ""))

    assert '<a href="/files?state=failed">1</a>' in text_of(visitor.get("/"))
    failed, pending = text_of(visitor.get("/files")), text_of(visitor.get("/files?state=pending"))

    assert "DCIM/&lt;b&gt;1.MP4" in failed
    assert "执法记录仪读取失败" in failed
    assert "2.MP4" not in failed
    assert "2.MP4" in pending
    assert "1.MP4" not in pending
