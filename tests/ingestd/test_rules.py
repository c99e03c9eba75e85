import string
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from custody.canonical import canonical_bytes
from ingestd import rules
from ingestd.cases.build import MAX_OFFICERS
from ingestd.catalogue import load
from ingestd.coverage import cover
from ingestd.index.rows import MAX_KEY_CHARS, MAX_PATH_CHARS
from ingestd.model import Level, MediaKind
from ingestd.pipeline import _flag_block
from ingestd.rules.document import document
from ingestd.rules.full_process import MAX_GAPS_KEPT
from ingestd.rules.wording import Spoken, length, moment, share
from tests.ingestd.worlds import MINUTE, T0, action, clip, span

ROOT = Path(__file__).parents[2]
CATALOGUE = load(ROOT / "config" / "catalogue.toml")
POLICY = rules.Policy(types=CATALOGUE.spoken())
END = T0 + 10 * MINUTE
DUE = END + 24 * 60 * MINUTE


FILMING = {"missing-full-process-video", "full-process-gap"}


def flags(act=None, footage=(), now_ms=DUE):
    """What the rules about filming say; the others are tried in test_rule_trials.py."""
    act = act or action()
    return [one for one in rules.evaluate(act, cover(act, footage), now_ms, POLICY) if one.rule in FILMING]


def names(found):
    return [flag.rule for flag in found]


def test_a_demolition_without_any_video_is_flagged():
    (flag,) = flags(action(type="demolition"))
    assert flag.flag_id == "missing-full-process-video:a1"
    assert (flag.action_id, flag.case) == ("a1", action().case)
    assert flag.article == CATALOGUE.types["demolition"].article
    assert "强制拆除" in flag.detail
    assert "Forced demolition" in flag.detail
    assert "2026-11-21 10:00:00" in flag.detail


def test_sound_stills_and_spoilt_pictures_are_no_video():
    footage = [clip("c1", kind=MediaKind.AUDIO), clip("c2", kind=MediaKind.IMAGE), clip("c3", problems=("encrypted",))]
    (flag,) = flags(footage=footage)
    assert flag.rule == "missing-full-process-video"
    assert flag.inputs["gaps"] == [{"start_ms": T0, "end_ms": END, "reason": "unusable-picture"}]


def test_a_hole_is_flagged_with_its_times():
    (flag,) = flags(footage=[clip("c1", span(0, 3)), clip("c2", span(7, 10))])
    assert flag.flag_id == "full-process-gap:a1"
    assert flag.inputs["gaps"] == [{"start_ms": T0 + 3 * MINUTE, "end_ms": T0 + 7 * MINUTE, "reason": "no-clip"}]
    assert "2026-11-21 10:03:00–10:07:00（4分，无录像）" in flag.detail
    assert "2026-11-21 10:03:00–10:07:00 (4 min, no clip)" in flag.detail
    assert "60.0%" in flag.detail


def test_full_coverage_deserves_no_flag():
    assert flags(footage=[clip()]) == []


@pytest.mark.parametrize("footage", [(), (clip(interval=span(0, 3)),)])
@pytest.mark.parametrize(("now_ms", "count"), [(END, 0), (DUE - 1, 0), (DUE, 1), (DUE + 1, 1)])
def test_nobody_is_asked_before_the_period_of_grace_is_over(footage, now_ms, count):
    assert len(flags(footage=footage, now_ms=now_ms)) == count


@pytest.mark.parametrize("level", [Level.SPECIFIED, Level.TEXT])
@pytest.mark.parametrize("footage", [(), (clip(interval=span(0, 3)),)])
def test_only_acts_that_must_be_recorded_in_full_are_flagged(level, footage):
    assert flags(action(level=level), footage) == []


@pytest.mark.parametrize(("hole_ms", "expected"), [(1000, []), (1001, ["full-process-gap"])])
def test_a_hole_within_the_tolerance_is_no_gap(hole_ms, expected):
    first, second = clip("c1", span(0, 3)), clip("c2", span(3 + hole_ms / MINUTE, 10))
    assert names(flags(footage=[first, second])) == expected


def test_one_second_of_video_makes_a_missing_recording_one_with_gaps():
    assert names(flags(footage=[clip(interval=span(0, 1 / 60))])) == ["full-process-gap"]


def test_the_same_facts_make_the_same_flag_whenever_asked():
    assert flags(now_ms=DUE) == flags(now_ms=DUE + 10**9)


def test_a_type_outside_the_catalogue_is_called_by_its_identifier_and_keeps_the_citys_plan():
    (flag,) = flags(action(type="unheard-of"))
    assert "unheard-of" in flag.detail
    assert flag.article == "运政办〔2019〕3号 一（二）2"


def test_a_flag_stays_small_and_counts_all_gaps():
    footage = [clip(f"c{n}", span(n / 60 * 1.5, n / 60 * 1.5 + 0.001)) for n in range(300)]
    (flag,) = flags(action(tolerated_gap_ms=0), footage)
    assert len(flag.inputs["gaps"]) == MAX_GAPS_KEPT
    assert flag.inputs["gap_count"] == 300
    assert flag.detail.count("–") == 10
    assert "……" in flag.detail


def test_integrity_flags_name_what_they_are_about():
    seen = rules.SeenFile("station-01", "DSJ0731", "DCIM/一.MP4", T0, "origin/7")
    made = [
        rules.message_unverifiable("ab12", "station-01", "sig-bad"),
        rules.original_changed("id-1", "originals/id-1.MP4", "aa", "missing"),
        rules.clip_not_arrived(seen, ZoneInfo("Asia/Shanghai")),
        rules.anchor_missing("custody.example/centre", T0, 12, 172_800, ZoneInfo("Asia/Shanghai")),
    ]
    assert [flag.flag_id for flag in made] == [
        "message-unverifiable:ab12",
        "original-not-as-recorded:id-1",
        "clip-not-arrived:origin/7:DCIM/一.MP4",
        "anchor-missing:custody.example/centre",
    ]
    assert "sig-bad" in made[0].detail
    assert "missing" in made[1].detail
    assert "2026-11-21 10:00:00" in made[2].detail
    assert "2026-11-21 10:00:00" in made[3].detail
    assert "48 h" in made[3].detail
    for flag in made:
        canonical_bytes(flag.inputs)


def test_every_flag_fits_into_a_signed_record_and_is_explained_again_in_either_language():
    for flag in [*flags(), *flags(footage=[clip(interval=span(0, 3))])]:
        canonical_bytes(flag.inputs)
        assert (
            flag.detail
            == f"{rules.explain(flag.rule, flag.inputs, 'zh')} {rules.explain(flag.rule, flag.inputs, 'en')}"
        )


def test_the_list_of_rules_is_whole_and_in_order():
    assert [rule.rule_id for rule in rules.RULES] == [
        "missing-full-process-video",
        "full-process-gap",
        "message-unverifiable",
        "original-not-as-recorded",
        "clip-not-arrived",
        "anchor-missing",
        "set-aside",
        "key-review",
        "specified-act-without-video",
        "written-record-incomplete",
        "interruption-unexplained",
        "checkpoint-missing",
        "fewer-than-two-officers",
        "enforcement-at-forbidden-time",
        "measure-at-unusual-time",
        "emergency-approval-late",
        "seizure-term",
        "registration-preservation-term",
        "late-offload",
        "clock-drift",
        "empty-dock",
        "repeated-certificate-failures",
        "identity-conflict",
        "silent-station",
        "unlinked-backlog",
        "retention-conflict",
        "disclosure-overdue",
        "legal-review-overdue",
        "decision-without-review",
        "no-ready-recorder",
        "calendar-missing",
        "recorder-not-seen",
        "clock-reset",
    ]
    assert len(rules.RULES_BY_ID) == len(rules.RULES)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.rule_id)
def test_every_rule_speaks_both_languages_and_names_its_authority(rule):
    assert rule.article
    for both in (rule.title, rule.asks, rule.noticed, rule.sentence, rule.acts):
        assert any("一" <= letter <= "鿿" for letter in both.zh)
        assert not any("一" <= letter <= "鿿" for letter in both.en)
    assert _names(rule.sentence.zh) == _names(rule.sentence.en)


def _names(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_the_document_for_lawyers_is_what_the_rules_say():
    written = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert written == document(CATALOGUE), "python -m ingestd.rules config/catalogue.toml > docs/rules.md"


def test_wording():
    assert moment(T0 + 999, ZoneInfo("Asia/Shanghai")) == "2026-11-21 10:00:00"
    assert (share(1_000_000), share(999_999), share(0)) == ("100.0%", "99.9%", "0.0%")
    assert (length(3725, "zh"), length(3725, "en"), length(0, "zh")) == ("1小时2分5秒", "1 h 2 min 5 s", "0秒")
    words = Spoken({"a": None, "b": ["x", "y"], "c": 3, "d_s": 60, "e": "id", "e_zh": "一"}, "zh")
    assert "{a} {b} {c} {d_s} {e}".format_map(words) == "— x、y 3 1分 一"
    assert ("e" in words, "f" in words) == (True, False)
    with pytest.raises(KeyError):
        "{f}".format_map(words)


def test_a_gap_over_midnight_names_both_days():
    night = action(interval=span(830, 850))
    (flag,) = flags(night, [clip(interval=span(830, 835))], DUE + 10**9)
    assert "2026-11-21 23:55:00–2026-11-22 00:10:00" in flag.detail


def test_the_agencys_period_of_grace_counts():
    policy = replace(POLICY, grace_ms=0)
    assert names(rules.evaluate(action(), cover(action(), []), END, policy)) == ["missing-full-process-video"]


_called = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"]), min_size=1, max_size=200)
_widest = st.sampled_from(["\U0001f46e" * 200, '"' * 200, "\\" * 200, "执" * 200])
_words = st.one_of(_called, _widest)
_anything = st.one_of(st.text(max_size=200), st.sampled_from(["\x01" * 4000, "\U0001f46e" * 4000, '"' * 4000]))
MAX_FLAG_BYTES = 48_000
"""Signed and in base64, a payload of this size still is an entry of at most 65,535 bytes."""


def entry_bytes(flag):
    return len(canonical_bytes({"flag": _flag_block(flag)}))


@given(_words, _words, _words, _words, st.lists(_words, min_size=1, max_size=MAX_OFFICERS), st.integers(0, 400))
@example("\U0001f46e" * 200, '"' * 200, '"' * 200, '"' * 200, ["\U0001f46e" * 200] * 400, 400)
@example("a", "c", "t", "t", [f"officer-number-{n:040d}" for n in range(400)], 400)
def test_flag_about_any_act_fits_into_an_entry(action_id, case, zh, article, officers, holes):
    act = action(action_id, span(0, 2000), case=case, officers=tuple(officers), tolerated_gap_ms=0)
    footage = [clip(f"c{n}", span(n * 4, n * 4 + 1), problems=("truncated",)) for n in range(holes)]
    policy = rules.Policy(types={act.type: rules.TypeName(rules.Both(zh, zh), article)})

    found = rules.evaluate(act, cover(act, footage), DUE + 2000 * MINUTE, policy)

    assert "full-process-gap" in names(found) or "missing-full-process-video" in names(found)
    assert all(entry_bytes(flag) <= MAX_FLAG_BYTES for flag in found)


@given(_anything, _anything, _anything)
@example("\x01" * 4000, "\x01" * 4000, "\x01" * 4000)
def test_flag_about_a_strangers_words_fits_into_an_entry(one, two, three):
    key = one[:MAX_PATH_CHARS]  # what an index row keeps
    seen = rules.SeenFile(two[:MAX_KEY_CHARS], three[:MAX_KEY_CHARS], key, T0, "custody.example/station-01:7")
    for flag in (
        rules.message_unverifiable("00" * 32, one, two),
        rules.original_changed("00" * 16, one, two, three),
        rules.clip_not_arrived(seen, POLICY.zone),
    ):
        assert entry_bytes(flag) <= MAX_FLAG_BYTES


def test_officers_that_a_flag_has_no_room_for_are_counted():
    many = tuple(f"officer-number-{number:040d}" for number in range(400))
    (flag,) = flags(action(officers=many))
    assert flag.inputs["officers"][0] == many[0]
    assert flag.inputs["officers"][-1] == "…（400）"
