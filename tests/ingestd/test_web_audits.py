"""The audit page: recorded audits as they are proven to stand in the log, heads of the logs, anchors."""

import shutil
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from custody.log import CHECKPOINT
from ingestd import serve, service
from ingestd.web.app import create_app
from tests.fakes.audited import audited_world, ingestd, rows
from tests.fakes.bundle import BundleWorld
from tests.fakes.web_queries import FakeMedia, story

NOW = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    world = audited_world(tmp_path_factory.mktemp("made"))
    here = ["--record", "--data-dir", world.folder]
    assert ingestd("audit", "verify", *here).code == 0
    assert ingestd("audit", "verify", "--sample", "2", "--seed", "骰子", *here).code == 0
    assert ingestd("audit", "verify", "--case", "<b>none</b>", *here).code == 2
    return world


@pytest.fixture
def world(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "c")
    return BundleWorld(tmp_path / "c", made.station, made.clips)


def page(world, query=""):
    centre = service.build(world.config)
    try:
        app = create_app(centre.queries, FakeMedia(), now=lambda: NOW, history=serve.audit_history(centre))
        answer = TestClient(app).get(f"/audits{query}")
        assert answer.status_code == 200
        return answer.text
    finally:
        centre.engine.dispose()


def history(world):
    centre = service.build(world.config)
    try:
        return serve.audit_history(centre).audits()
    finally:
        centre.engine.dispose()


def test_audits_are_shown_newest_first_in_both_languages(made):
    zh, en = page(made), page(made, "?lang=en")

    assert zh.index("无法核验") < zh.index("骰子") < zh.index("6 个中的 6 个")
    assert "与记录一致" in zh
    assert "未核验任何内容" in zh
    assert "nothing was checked" in en
    assert "6 of 6" in en
    assert "custody.example/station-01" in zh
    assert "没有外部机构为本日志作证" in zh


def test_what_was_asked_for_cannot_write_the_page(made):
    assert "<b>none</b>" not in page(made)
    assert "&lt;b&gt;none&lt;/b&gt;" in page(made)


def test_page_is_in_the_menu_only_where_there_is_one(made):
    assert 'href="/audits" aria-current="page"' in page(made)
    without = TestClient(create_app(story(), FakeMedia(), now=lambda: NOW))
    assert "/audits" not in without.get("/").text
    assert without.get("/audits").status_code == 404


def test_each_audit_is_proven_under_the_signed_checkpoint(made):
    assert [one.proven for one in history(made)] == [True, True, True]
    assert [one.outcome for one in history(made)] == [2, 0, 0]


def test_altered_entry_is_shown_as_not_proven(world):
    path = world.folder / "central" / "log" / "entries.jsonl"
    lines = path.read_bytes().split(b"\n")
    altered = bytearray(lines[-2])
    altered[altered.index(b'"payload":"') + 300] ^= 1
    path.write_bytes(b"\n".join([*lines[:-2], bytes(altered), b""]))

    [first, *_] = history(world)
    assert not first.proven
    assert "无法证明" in page(world)


def test_row_that_points_at_another_entry_proves_nothing(world):
    rows(world, "UPDATE entry SET event = 'audit.done' WHERE event = 'case.linked'")
    found = history(world)
    assert {one.proven for one in found} == {True, False}
    assert any(one.reason == "the entry is case.linked" for one in found)


def test_without_a_checkpoint_nothing_is_proven(world):
    note = world.folder / "central" / "log" / CHECKPOINT
    right = note.read_bytes()
    note.write_bytes(right.replace(right.split(b"\n")[2][:8], b"AAAAAAAA"))
    assert not any(one.proven for one in history(world))
    assert "中心日志没有有效的签名检查点" in page(world)
    note.unlink()
    assert not any(one.proven for one in history(world))


def test_no_audit_at_all_is_no_green_page(tmp_path):
    assert "没有任何核验记录" in page(audited_world(tmp_path))
