"""``ingestd audit chain``: the story of one clip from signed entries, and rows that disagree with it."""

import re
import shutil

import pytest

from custody.log import entry_of
from custody.verdicts import Finding, Outcome, Verdict
from ingestd import decisions, flag_life, vocabulary
from ingestd.rules.wording import Both
from tests.fakes.audited import CASE, audited_world, centre_of, ingestd, rows, signed
from tests.fakes.bundle import BundleWorld


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return audited_world(tmp_path_factory.mktemp("made"))


@pytest.fixture
def world(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "c")
    return BundleWorld(tmp_path / "c", made.station, made.clips)


def chain(world, clip, *options):
    return ingestd("audit", "chain", clip, "--data-dir", world.folder, *options)


def test_every_event_of_the_clip_in_order_with_actor_host_and_bounds(made):
    said = chain(made, made.clips[0], "--json")

    events = said.facts["events"]
    assert (said.code, said.facts["compared_with_index"], said.facts["findings"]) == (0, "yes", [])
    told = [one["event"] for one in events]
    assert told[:5] == ["ingest.seen", "ingest.copied", "media.described", "proxy.created", "station.entries"]
    assert {"central.verified", "case.linked"} <= set(told)
    assert all(one["verified"] == "yes" and one["actor"] and one["host"] for one in events)
    copied = events[1]
    assert copied["not_after"]["by"] == "custody.example/centre"
    assert copied["utc_ms"] <= copied["not_after"]["utc_ms"]
    assert next(one["what"] for one in events if one["event"] == "case.linked") == CASE
    places = [(one["log"], one["seq"]) for one in events]
    assert len(set(places)) == len(places)


def test_what_people_did_with_the_clip_is_part_of_its_story_and_of_its_bundle(world, tmp_path):
    """Looked at, held by name and by case, its action's flag explained, disposal asked for: told, and in the index."""
    clip, other, who = world.clips[0], world.clips[5], decisions.Person("甲", "法院通知")
    [[flag]] = rows(world, "SELECT flag_id FROM flag WHERE action_id = 'A1' LIMIT 1")
    with centre_of(world) as pipeline:
        for object_id in (clip, other):
            pipeline.viewed(object_id, "detail", "10.0.0.7")
            [held] = pipeline.decide(decisions.hold(object_id, "", who))
            pipeline.decide(decisions.release(held.record.block("hold")["id"], who))
        pipeline.decide(decisions.hold("", CASE.replace("〔2026〕", "[2026] "), who))
        pipeline.decide(flag_life.explain(flag, who))
        pipeline.decide(decisions.approve_disposal(other, who, 0))

    of_the_case, of_none = (chain(world, one, "--json") for one in (clip, other))

    people = {"access.viewed", "hold.set", "hold.released", "flag.explained", "disposal.approved"}
    told = [one["event"] for one in of_the_case.facts["events"] if one["event"] in people]
    assert told == ["access.viewed", "hold.set", "hold.released", "hold.set", "flag.explained"]
    told = [one["event"] for one in of_none.facts["events"] if one["event"] in people]
    assert told == ["access.viewed", "hold.set", "hold.released", "disposal.approved"]
    for said in (of_the_case, of_none):
        assert (said.code, said.facts["findings"], said.facts["compared_with_index"]) == (0, [], "yes")
    what = {one["event"]: one["what"] for one in of_the_case.facts["events"]}
    assert (what["flag.explained"], what["access.viewed"]) == ("法院通知", "detail")
    report = world.export(tmp_path / "out", clip).report
    assert report.exit_code == 0
    in_bundle = [entry.read_bytes() for entry in sorted((tmp_path / "out/custody/custody.example/centre").iterdir())]
    assert people - {"disposal.approved"} <= {entry_of(data).record.event for data in in_bundle}


def test_what_others_did_is_no_part_of_the_story(made):
    ours = {(one["log"], one["seq"]) for one in chain(made, made.clips[4], "--json").facts["events"]}
    other = {(one["log"], one["seq"]) for one in chain(made, made.clips[2], "--json").facts["events"]}
    shared = {place for place in ours & other if not place[0].endswith("/centre")}
    assert shared == set()


def test_lines_speak_the_language_asked_for(made, monkeypatch):
    zh, en = chain(made, made.clips[0], "--lang", "zh").out, chain(made, made.clips[0], "--lang", "en").out
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert chain(made, made.clips[0]).out == en
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert chain(made, made.clips[0]).out == zh
    assert "已拷贝并重读一致" in zh
    assert "Copied and read back equal" in en
    assert chain(made, made.clips[0], "--lang", "fr").code == 2


def test_unknown_clip_is_nothing_checked(made):
    said = chain(made, "01a204c5-c681-7bd5-947e-446fcec21173", "--json")
    assert (said.code, said.facts["events"]) == (2, [])
    assert [bad["verdict"] for bad in said.facts["findings"]] == ["nothing-checked"]


def test_export_is_told_with_who_and_where(world, tmp_path):
    world.export(tmp_path / "out", world.clips[1])
    exported = [
        one for one in chain(world, world.clips[1], "--json").facts["events"] if one["event"] == "access.exported"
    ]
    assert [one["what"] for one in exported] == ["法院调取"]
    assert all(one["actor"].startswith("auditor ") and one["host"] != "centre" for one in exported)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE clip SET sha256 = '{zero}' WHERE object_id = '{clip}'", "sha256 is"),
        ("UPDATE clip SET size = size + 1 WHERE object_id = '{clip}'", "size is"),
        ("DELETE FROM clip WHERE object_id = '{clip}'", "no row of it"),
        ("DELETE FROM link WHERE object_id = '{clip}'", "link to A1 is only signed"),
        (
            "INSERT INTO link SELECT object_id, 'A9', method, score, reasons, rule_version, log_seq FROM link",
            "link to A9 is only in the index",
        ),
        ("UPDATE entry SET utc_ms = utc_ms + 1 WHERE object_id = '{clip}'", "utc_ms is"),
        ("UPDATE entry SET leaf = '{zero}' WHERE event = 'ingest.seen'", "leaf is"),
        ("DELETE FROM entry WHERE object_id = '{clip}' AND event = 'central.verified'", "no row of it"),
        ("UPDATE entry SET object_id = '{clip}' WHERE object_id = '{other}'", "no such entry of this clip is signed"),
    ],
)
def test_row_that_disagrees_is_a_finding(world, sql, said):
    clip, other = world.clips[0], world.clips[1]
    rows(world, sql.format(clip=clip, other=other, zero="00" * 32))

    told = chain(world, clip, "--json")

    assert told.code == 1
    assert {bad["verdict"] for bad in told.facts["findings"]} == {"projection-mismatch"}
    assert any(said in bad["reason"] for bad in told.facts["findings"])


def test_a_clip_with_thousands_of_events_is_compared_too(world):
    """More than one query can name: whoever looks often enough hides no altered row."""
    clip = world.clips[0]
    look = ("access.viewed", {"actors": [{"role": "person", "id": "x"}], "view": {"object": clip, "what": "proxy"}})
    with centre_of(world) as pipeline:
        pipeline.record([look] * 1_100)
    before = chain(world, clip, "--json")
    rows(world, "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry WHERE event = 'access.viewed')")

    said = chain(world, clip, "--json")

    assert (before.code, before.facts["compared_with_index"]) == (0, "yes"), before.err
    assert (said.code, [bad["verdict"] for bad in said.facts["findings"]]) == (1, ["projection-mismatch"])


def test_without_an_index_the_story_is_the_same_and_that_is_said(world):
    before = chain(world, world.clips[0], "--json").facts["events"]
    (world.folder / "central" / "index.db").unlink()

    said = chain(world, world.clips[0], "--json")

    assert (said.code, said.facts["events"], said.facts["compared_with_index"]) == (0, before, "no")
    assert "没有索引" in chain(world, world.clips[0], "--lang", "zh").out


def test_index_that_cannot_be_read_is_said(world):
    (world.folder / "central" / "index.db").write_bytes(b"no database" * 100)
    said = chain(world, world.clips[0], "--json")
    assert said.facts["compared_with_index"] == "no"
    assert "not compared with the index" in said.err


@pytest.mark.parametrize("name", ["log", "mirrors/station-01"])
def test_altered_log_is_never_ok(world, name):
    path = world.folder / "central" / name / "entries.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert chain(world, world.clips[0]).code in {1, 2}


def test_entry_that_the_centre_does_not_name_is_not_verified(world):
    world.station.described(world.clips[0], None)
    mirror = world.folder / "central" / "mirrors" / "station-01" / "entries.jsonl"
    mirror.write_bytes(mirror.read_bytes() + world.station.entries[-1] + b"\n")
    try:
        said = chain(world, world.clips[0], "--json")
    finally:
        world.station.entries.pop()

    assert said.code == 1
    assert [one["verified"] for one in said.facts["events"]].count("no") == 1
    assert "mirror-mismatch" in {bad["verdict"] for bad in said.facts["findings"]}
    assert "未通过核验" in chain(world, world.clips[0], "--lang", "zh").out


def test_every_word_of_the_vocabulary_is_said_in_both_languages():
    assert set(vocabulary.VERDICTS) == set(Verdict)
    assert set(vocabulary.FINDINGS) == set(Finding)
    assert set(vocabulary.OUTCOMES) == set(Outcome)
    for word in (*vocabulary.VERDICTS.values(), *vocabulary.FINDINGS.values(), *vocabulary.OUTCOMES.values()):
        for text in (word.name, word.meaning):
            assert re.search(r"[\u4e00-\u9fff]", text.zh)
            assert re.fullmatch(r"[\x20-\x7e]+", text.en)
    assert vocabulary.word("strange").name == Both("strange", "strange")


def test_bounds_come_from_what_the_station_has_seen(made, tmp_path):
    """A station that saw the centre's checkpoint cannot have written the entry before it."""
    world = audited_world(tmp_path)
    facts = chain(world, world.clips[0], "--json").facts
    centre = next(log for log in facts["logs"] if log["origin"].endswith("/centre"))
    at_ms = max(one["utc_ms"] for one in facts["events"] if one["log"] == centre["origin"])
    seen = {"origin": centre["origin"], "size": centre["size"], "root": centre["root"]}
    world.station.utc_ms = at_ms
    world.station.write("proxy.failed", parents=[{"id": world.clips[0]}], reason="x", centre_seen=seen)
    world.station.utc_ms = at_ms - 600_000
    world.station.write("proxy.failed", parents=[{"id": world.clips[0]}], reason="late", centre_seen=seen)
    world.deliver()
    signed(world)

    said = chain(world, world.clips[0], "--json")

    good, early = [one for one in said.facts["events"] if one["event"] == "proxy.failed"][::-1]
    assert good["not_before"]["by"] == f"{centre['origin']} @ {centre['size']}"
    assert early["what"] == "late"
    assert [bad["verdict"] for bad in said.facts["findings"]] == ["time-regression"]
