"""Every rule is tried three times: when it must speak, when it must not, and on both sides of its boundary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from custody.canonical import canonical_bytes
from ingestd import rules
from ingestd.calendar_cn import Calendar
from ingestd.coverage import cover
from ingestd.model import Flag, Interval, Level
from ingestd.rules import facts
from ingestd.rules.calendar_missing import calendar_missing
from ingestd.rules.checkpoints import checkpoints
from ingestd.rules.clock_drift import clock_drift
from ingestd.rules.clock_reset import clock_reset
from ingestd.rules.decision_unreviewed import decision_unreviewed
from ingestd.rules.disclosure_overdue import disclosure_overdue
from ingestd.rules.emergency_approval import emergency_approval
from ingestd.rules.empty_dock import empty_dock
from ingestd.rules.exemption import MAX_REASON_CHARS, Exemption, objections
from ingestd.rules.identity_conflict import identity_conflict
from ingestd.rules.interruption import interruption
from ingestd.rules.late_offload import late_offload
from ingestd.rules.missing_video import missing_video
from ingestd.rules.night_enforcement import night_enforcement
from ingestd.rules.night_measure import night_measure
from ingestd.rules.no_ready_recorder import no_ready_recorder
from ingestd.rules.recorder_not_seen import recorder_not_seen
from ingestd.rules.registration_term import registration_term
from ingestd.rules.repeated_failures import repeated_failures
from ingestd.rules.retention_conflict import retention_conflict
from ingestd.rules.review_overdue import review_overdue
from ingestd.rules.rule import DAY_MS, HOUR_MS, Weight
from ingestd.rules.seizure_term import seizure_term
from ingestd.rules.should_record import should_record
from ingestd.rules.silent_station import silent_station
from ingestd.rules.two_officers import two_officers
from ingestd.rules.unlinked_backlog import unlinked_backlog
from ingestd.rules.video_gap import video_gap
from ingestd.rules.written_record import written_record
from tests.ingestd.worlds import MINUTE, T0, action, clip, span

ROOT = Path(__file__).parents[2]
POLICY = rules.Policy()
END = T0 + 10 * MINUTE
DUE = END + 24 * HOUR_MS


def at(text: str) -> int:
    """A moment as people in Shanghai write it."""
    return round(datetime.fromisoformat(text).replace(tzinfo=POLICY.zone).astimezone(UTC).timestamp() * 1000)


def between(start: str, end: str) -> Interval:
    return Interval(at(start), at(end))


@dataclass(frozen=True)
class Trial:
    """Must speak, must not, and two neighbours: the last facts without a flag and the first with one."""

    positive: Callable[[], Sequence[Flag]]
    negative: Callable[[], Sequence[Flag]]
    still: Callable[[], Sequence[Flag]]
    just: Callable[[], Sequence[Flag]]


def on_act(rule, **act):
    """A rule of act, coverage and present time."""
    return lambda footage=(), now_ms=DUE: rule(action(**act), cover(action(**act), footage), now_ms, POLICY)


missing = on_act(missing_video)
gap = on_act(video_gap)
should = on_act(should_record, level=Level.SPECIFIED)


def written(*, complete=False, now_ms=DUE, footage=()):
    act = action(level=Level.TEXT)
    return written_record(facts.WrittenRecord(act, complete), cover(act, footage), now_ms, POLICY)


def broken(length_ms=5000, reason="", *, reviewed=False, now_ms=DUE + 30 * DAY_MS):
    hole = Interval(T0 + MINUTE, T0 + MINUTE + length_ms)
    return interruption(facts.Interruption(action(), hole, reason, reviewed), now_ms, POLICY)


def steps(*evidenced, now_ms=DUE):
    return checkpoints(facts.Checkpoints(action(), ("证件", "告知"), frozenset(evidenced)), now_ms, POLICY)


def officers(named=("007",), recorders=("DSJ0731",), now_ms=DUE, kind="seizure"):
    return two_officers(action(officers=named, type=kind), recorders, now_ms, POLICY)


def demolition(start, end, *, emergency=False):
    act = action(type="demolition", interval=between(start, end))
    return night_enforcement(act, act.interval.end_ms, POLICY, emergency=emergency)


def seizing(start, end, kind="seizure"):
    act = action(type=kind, interval=between(start, end))
    return night_measure(act, act.interval.end_ms, POLICY)


def approved(after_ms, kind="seizure", now_ms=T0 + 100 * HOUR_MS):
    known = None if after_ms is None else T0 + after_ms
    return emergency_approval(facts.EmergencyMeasure(action(type=kind), T0, known), now_ms, POLICY)


def seized(now, *, extended=False, excluded=0, ended_ms=None):
    fact = facts.Seizure(action(), at("2026-03-02 10:00"), extended, excluded, ended_ms)
    return seizure_term(fact, at(now), POLICY)


def registered(now, decided=None):
    decided_ms = None if decided is None else at(decided)
    fact = facts.Registration(action(type="registration-preservation"), at("2026-09-28 10:00"), decided_ms)
    return registration_term(fact, at(now), POLICY)


def offloaded(after_ms):
    return late_offload(facts.Offload("c1", "station-01", "DSJ0731", T0, T0 + after_ms), POLICY)


def reading(offset_ms, after_ms=0, uncertainty_ms=0):
    return facts.ClockReading("DSJ0731", "station-01", T0 + after_ms, offset_ms, uncertainty_ms, "log:7")


def drifted(millis, uncertainty_ms=0):
    return clock_drift(reading(millis, DAY_MS, uncertainty_ms), reading(0), POLICY)


def docked_empty(docked_ms=END, since_ms=T0, **act):
    docking = facts.EmptyDocking("DSJ0731", "007", "station-01", docked_ms, "log:7")
    return empty_dock(docking, since_ms, [action(**act)], POLICY)


def failed(*acts):
    found = [facts.CheckpointFailure("007", act, T0 + number) for number, act in enumerate(acts)]
    return repeated_failures(found, POLICY)


def worn(ledger, stated):
    return identity_conflict(facts.WornBy("c1", "DSJ0731", ledger, stated, T0), POLICY)


def heard(now_ms, complete_ms=0):
    return silent_station(
        facts.StationHeard("station-01", "custody.example/station-01", T0, complete_ms), now_ms, POLICY
    )


def held(now_ms, seen_ms=None):
    return recorder_not_seen(facts.RecorderHeld("DSJ0731", "007", T0, seen_ms), now_ms, POLICY)


def dated(stated):
    return clock_reset(facts.ClockReset("DSJ0731", "station-01", T0, stated, "log:7"), POLICY)


def waiting(now_ms, count=3):
    return unlinked_backlog(facts.Backlog("城管一队", count, T0), now_ms, POLICY)


def kept(days, **other):
    until_ms = None if days is None else T0 + days * DAY_MS
    return retention_conflict(facts.Retention("c1", T0, until_ms, **other), POLICY)


def disclosed(now, kind=facts.Publication.PENALTY, published=None):
    published_ms = None if published is None else at(published)
    fact = facts.Disclosure("处罚决定 17", "云〔2026〕1号", kind, at("2026-03-02 10:00"), published_ms)
    return disclosure_overdue(fact, at(now), POLICY)


def reviewed(now, *, extended=False, concluded=None):
    concluded_ms = None if concluded is None else at(concluded)
    return review_overdue(
        facts.Review("云〔2026〕1号", at("2026-03-02 10:00"), extended, concluded_ms), at(now), POLICY
    )


def decided(passed_ms):
    return decision_unreviewed(facts.MajorDecision("云〔2026〕1号", T0, passed_ms), POLICY)


def planned(now_ms, *ready):
    return no_ready_recorder(facts.PlannedAct(action(), frozenset(ready)), now_ms, POLICY)


def year_of(now, calendar=POLICY.calendar):
    return calendar_missing(at(now), replace(POLICY, calendar=calendar))


TRIALS = {
    "missing-full-process-video": Trial(
        missing, lambda: missing([clip()]), lambda: missing(now_ms=DUE - 1), lambda: missing(now_ms=DUE)
    ),
    "full-process-gap": Trial(
        lambda: gap([clip(interval=span(0, 3))]),
        lambda: gap([clip()]),
        lambda: gap([clip(interval=span(0, 10 - 1 / 60))]),
        lambda: gap([clip(interval=span(0, 10 - 1.001 / 60))]),
    ),
    "specified-act-without-video": Trial(
        should, lambda: should([clip()]), lambda: should(now_ms=DUE - 1), lambda: should(now_ms=DUE)
    ),
    "written-record-incomplete": Trial(
        written, lambda: written(complete=True), lambda: written(now_ms=DUE - 1), lambda: written(now_ms=DUE)
    ),
    "interruption-unexplained": Trial(
        broken, lambda: broken(reason="换电池", reviewed=True), lambda: broken(1000), lambda: broken(1001)
    ),
    "checkpoint-missing": Trial(
        steps, lambda: steps("证件", "告知"), lambda: steps("证件", "告知", "清单"), lambda: steps("证件")
    ),
    "fewer-than-two-officers": Trial(
        officers,
        lambda: officers(kind="hearing"),
        lambda: officers(recorders=("DSJ0731", "DSJ0732")),
        lambda: officers(recorders=("DSJ0731", "DSJ0731")),
    ),
    "enforcement-at-forbidden-time": Trial(
        lambda: demolition("2026-11-20 21:00", "2026-11-20 23:00"),
        lambda: demolition("2026-11-21 10:00", "2026-11-21 12:00"),
        lambda: demolition("2026-11-20 20:00", "2026-11-20 22:00"),
        lambda: demolition("2026-11-20 20:00", "2026-11-20 22:00:01"),
    ),
    "measure-at-unusual-time": Trial(
        lambda: seizing("2026-10-05 10:00", "2026-10-05 12:00"),
        lambda: seizing("2026-10-05 10:00", "2026-10-05 12:00", "inspection"),
        lambda: seizing("2026-11-20 06:00", "2026-11-20 08:00"),
        lambda: seizing("2026-11-20 05:59:59", "2026-11-20 08:00"),
    ),
    "emergency-approval-late": Trial(
        lambda: approved(None),
        lambda: approved(HOUR_MS),
        lambda: approved(24 * HOUR_MS),
        lambda: approved(24 * HOUR_MS + 1),
    ),
    "seizure-term": Trial(
        lambda: seized("2026-05-01 10:00"),
        lambda: seized("2026-05-01 10:00", ended_ms=at("2026-03-20 10:00")),
        lambda: seized("2026-03-26 23:59:59"),
        lambda: seized("2026-03-27 00:00"),
    ),
    "registration-preservation-term": Trial(
        lambda: registered("2026-12-01 10:00"),
        lambda: registered("2026-12-01 10:00", "2026-09-29 10:00"),
        lambda: registered("2026-10-13 23:59:59"),
        lambda: registered("2026-10-14 00:00"),
    ),
    "late-offload": Trial(
        lambda: offloaded(9 * DAY_MS),
        lambda: offloaded(HOUR_MS),
        lambda: offloaded(24 * HOUR_MS),
        lambda: offloaded(24 * HOUR_MS + 1),
    ),
    "clock-drift": Trial(lambda: drifted(9000), lambda: drifted(0), lambda: drifted(3000), lambda: drifted(3001)),
    "empty-dock": Trial(
        docked_empty,
        lambda: docked_empty(level=Level.SPECIFIED),
        lambda: docked_empty(docked_ms=END - 1),
        lambda: docked_empty(docked_ms=END),
    ),
    "repeated-certificate-failures": Trial(
        lambda: failed("a1", "a2", "a3"), failed, lambda: failed("a1", "a1"), lambda: failed("a1", "a2")
    ),
    "identity-conflict": Trial(
        lambda: worn("140801023", "140801057"),
        lambda: worn("140801023", ""),
        lambda: worn("140801023", "801023"),
        lambda: worn("140801023", "801024"),
    ),
    "silent-station": Trial(
        lambda: heard(T0 + 30 * DAY_MS),
        lambda: heard(T0),
        lambda: heard(T0 + POLICY.silent_ms),
        lambda: heard(T0 + POLICY.silent_ms + 1),
    ),
    "unlinked-backlog": Trial(
        lambda: waiting(T0 + 30 * DAY_MS),
        lambda: waiting(T0 + 30 * DAY_MS, 0),
        lambda: waiting(T0 + POLICY.backlog_ms),
        lambda: waiting(T0 + POLICY.backlog_ms + 1),
    ),
    "retention-conflict": Trial(
        lambda: kept(30), lambda: kept(None, permanent=True), lambda: kept(183), lambda: kept(182)
    ),
    "disclosure-overdue": Trial(
        lambda: disclosed("2026-06-01 10:00"),
        lambda: disclosed("2026-06-01 10:00", published="2026-03-05 10:00"),
        lambda: disclosed("2026-03-11 23:59:59"),
        lambda: disclosed("2026-03-12 00:00"),
    ),
    "legal-review-overdue": Trial(
        lambda: reviewed("2026-06-01 10:00"),
        lambda: reviewed("2026-06-01 10:00", concluded="2026-03-05 10:00"),
        lambda: reviewed("2026-03-09 23:59:59"),
        lambda: reviewed("2026-03-10 00:00"),
    ),
    "decision-without-review": Trial(
        lambda: decided(None), lambda: decided(T0 - DAY_MS), lambda: decided(T0), lambda: decided(T0 + 1)
    ),
    "no-ready-recorder": Trial(
        lambda: planned(T0 - HOUR_MS),
        lambda: planned(T0 - HOUR_MS, "007"),
        lambda: planned(T0 - 24 * HOUR_MS - 1),
        lambda: planned(T0 - 24 * HOUR_MS),
    ),
    "calendar-missing": Trial(
        lambda: year_of("2031-05-05 10:00"),
        lambda: year_of("2026-05-05 10:00"),
        lambda: year_of("2026-12-31 23:59:59"),
        lambda: year_of("2027-01-01 00:00"),
    ),
    "recorder-not-seen": Trial(
        lambda: held(T0 + 30 * DAY_MS),
        lambda: held(T0 + 30 * DAY_MS, T0 + 29 * DAY_MS),
        lambda: held(T0 + POLICY.unseen_ms),
        lambda: held(T0 + POLICY.unseen_ms + 1),
    ),
    "clock-reset": Trial(
        lambda: dated("20010101003600"),
        lambda: dated(""),
        lambda: dated(""),
        lambda: dated("2"),
    ),
}

FOUND_WITH_THE_BYTES = {
    "message-unverifiable": "tests/ingestd/test_pipeline.py",
    "original-not-as-recorded": "tests/ingestd/test_pipeline.py",
    "clip-not-arrived": "tests/ingestd/test_pipeline.py",
    "anchor-missing": "tests/ingestd/test_anchors.py",
    "set-aside": "tests/ingestd/test_hostile.py",
    "key-review": "tests/ingestd/test_keys.py",
}
"""Rules that decide nothing themselves: whether they hold is found, and tried, where bytes and logs are checked."""


def test_no_rule_goes_untried():
    assert TRIALS.keys() | FOUND_WITH_THE_BYTES.keys() == rules.RULES_BY_ID.keys()
    for rule_id, file in FOUND_WITH_THE_BYTES.items():
        assert rule_id in (ROOT / file).read_text("utf-8"), f"{file} does not try {rule_id}"


@pytest.mark.parametrize("rule_id", TRIALS)
def test_rule_speaks_when_it_must_and_only_then(rule_id):
    trial = TRIALS[rule_id]
    flags = trial.positive()
    assert [flag.rule for flag in flags] == [rule_id]
    assert list(trial.negative()) == []
    assert list(trial.still()) == []
    assert [flag.rule for flag in trial.just()] == [rule_id]


@pytest.mark.parametrize("rule_id", TRIALS)
def test_every_flag_says_what_on_what_authority_since_when_and_by_when(rule_id):
    (flag,) = TRIALS[rule_id].positive()
    canonical_bytes(flag.inputs)
    told = f"{rules.explain(rule_id, flag.inputs, 'zh')} {rules.explain(rule_id, flag.inputs, 'en')}"
    assert flag.detail == told
    assert "{" not in flag.detail
    assert flag.article
    if rule_id != "calendar-missing":
        assert isinstance(flag.inputs["since_ms"], int)
        assert date.fromisoformat(str(flag.inputs["by"]))
        assert f"应于 {flag.inputs['by']}" in flag.detail


def test_a_deadline_that_rests_on_no_notice_is_told_as_provisional():
    act = action(interval=between("2027-02-01 10:00", "2027-02-01 11:00"))
    (flag,) = missing_video(act, cover(act, []), act.interval.end_ms + POLICY.grace_ms, POLICY)
    assert flag.inputs["by_calendar"] == "provisional"
    assert "暂定：日历未发布" in flag.detail
    assert "provisional" in flag.detail
    (settled,) = missing()
    assert "暂定" not in settled.detail


# What the boundaries above leave open.


def test_a_break_that_is_explained_still_needs_a_reviewer():
    (flag,) = broken(reason="换电池")
    assert "审核签字" in flag.detail


def test_a_break_is_told_of_on_the_day_after_the_last_on_which_its_gap_could_be_answered():
    last = POLICY.answer_by(DUE).day
    assert broken(now_ms=POLICY.begins_ms(last + timedelta(days=1)) - 1) == []
    assert len(broken(now_ms=POLICY.begins_ms(last + timedelta(days=1)))) == 1


def test_two_registered_officers_are_enough_without_any_clip():
    assert officers(("007", "013"), ()) == []
    assert [flag.inputs["recorder_count"] for flag in officers(("007", "007"), ())] == [0]
    assert officers(now_ms=DUE - 1) == []


def test_an_emergency_and_a_plain_weekend_are_no_forbidden_time():
    assert demolition("2026-11-20 21:00", "2026-11-20 23:00", emergency=True) == []
    (flag,) = demolition("2026-10-05 10:00", "2026-10-05 12:00")
    assert "国庆节" in flag.detail
    assert seizing("2026-11-22 10:00", "2026-11-22 12:00") == []


@pytest.mark.parametrize(
    ("start", "end", "since"),
    [
        ("2026-11-20 23:30", "2026-11-20 23:30", "2026-11-20 23:30"),
        ("2026-11-20 22:00", "2026-11-20 22:00", "2026-11-20 22:00"),
        ("2026-11-20 20:00", "2026-11-22 12:00", "2026-11-20 22:00"),
        ("2026-11-21 02:00", "2026-11-21 03:00", "2026-11-21 02:00"),
        ("2026-09-30 18:00", "2026-10-01 00:00:01", "2026-09-30 22:00"),
    ],
)
def test_the_first_forbidden_moment_is_told(start, end, since):
    (flag,) = demolition(start, end)
    assert flag.inputs["forbidden_ms"] == at(since)


def test_no_flag_before_the_forbidden_moment_has_come():
    act = action(type="demolition", interval=between("2026-11-20 20:00", "2026-11-20 23:00"))
    assert night_enforcement(act, at("2026-11-20 21:59:59"), POLICY) == []
    assert len(night_enforcement(act, at("2026-11-20 22:00"), POLICY)) == 1


def test_a_measure_against_liberty_is_reported_on_return_and_not_within_24_hours():
    assert len(approved(HOUR_MS, "personal-liberty")) == 1
    assert approved(10 * MINUTE, "personal-liberty") == []


def test_an_extension_and_excluded_days_move_the_end_of_a_seizure():
    assert seized("2026-04-25 23:59", extended=True) == []
    (flag,) = seized("2026-04-26 00:00", extended=True)
    assert flag.inputs["last_day"] == "2026-05-01"
    assert seized("2026-03-30 10:00", excluded=10) == []


def test_a_late_decision_stays_late():
    assert len(registered("2026-12-01 10:00", "2026-10-14 09:00")) == 1
    assert len(disclosed("2026-06-01 10:00", published="2026-03-12 09:00")) == 1
    assert len(reviewed("2026-06-01 10:00", concluded="2026-03-10 09:00")) == 1


def test_readings_that_may_be_wrong_accuse_no_clock():
    assert drifted(9000, uncertainty_ms=6000) == []
    assert clock_drift(reading(60_000), None, POLICY) == []
    assert len(clock_drift(reading(-60_001), None, POLICY)) == 1
    assert clock_drift(reading(5000), reading(0), POLICY) == [], "two readings at one moment tell of no drift"


def test_an_act_of_somebody_else_or_before_the_last_docking_does_not_concern_an_empty_recorder():
    assert docked_empty(officers=("013",)) == []
    assert docked_empty(since_ms=END) == []


def test_the_figure_of_failures_is_the_agencys():
    found = [facts.CheckpointFailure("007", "a1", T0)]
    assert len(repeated_failures(found, replace(POLICY, failures=1))) == 1
    assert len(repeated_failures(found, replace(POLICY, failures=0))) == 1


def test_the_longest_term_wins():
    assert "永久" in kept(40_000, permanent=True)[0].detail
    assert "案卷" in kept(300, case="云〔2026〕1号", case_until_ms=None)[0].detail
    assert "案卷" in kept(300, case="云〔2026〕1号", case_until_ms=T0 + 301 * DAY_MS)[0].detail
    assert kept(300, case="云〔2026〕1号", case_until_ms=T0 + 300 * DAY_MS) == []


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        (facts.Publication.DECISION, "2026-03-30"),
        (facts.Publication.LICENCE, "2026-03-11"),
        (facts.Publication.WITHDRAWAL, "2026-03-05"),
    ],
)
def test_each_kind_of_publication_has_its_days(kind, last):
    (flag,) = disclosed("2026-06-01 10:00", kind)
    assert flag.inputs["by"] == last


def test_an_extended_review_has_three_days_more():
    assert reviewed("2026-03-12 23:59", extended=True) == []
    assert len(reviewed("2026-03-13 00:00", extended=True)) == 1


def test_nobody_is_asked_for_a_recorder_once_the_act_has_begun():
    assert planned(T0) == []
    assert len(planned(T0 - 1, "028")) == 1, "a ready recorder of somebody else helps nobody"


def test_the_agencys_calendar_answers_for_a_year():
    calendar = Calendar({2027: rules_year("国办发明电〔2026〕1号")})
    assert year_of("2027-05-05 10:00", calendar) == []
    assert len(year_of("2027-05-05 10:00", Calendar({2027: rules_year("")}))) == 1


def rules_year(notice):
    from ingestd.calendar_cn import AgencyYear  # noqa: PLC0415  # one use

    return AgencyYear(2027, notice)


def test_notices_accuse_nobody():
    weights = {rule.rule_id: rule.weight for rule in rules.RULES if rule.weight is Weight.NOTICE}
    assert weights.keys() == {"specified-act-without-video", "measure-at-unusual-time", "recorder-not-seen"}


@pytest.mark.parametrize(
    ("exemption", "says"),
    [
        (Exemption("secrecy", "涉及商业秘密", "007", "013"), ""),
        (Exemption("emergency", "洪水", "007", "013"), ""),
        (Exemption("impossibility", "设备落水", "007", "013"), ""),
        (Exemption("forgotten", "忘记了", "007", "013"), "must be one of"),
        (Exemption("emergency", "  ", "007", "013"), "must be given"),
        (Exemption("emergency", "x" * (MAX_REASON_CHARS + 1), "007", "013"), "at most"),
        (Exemption("emergency", "洪水", "", "013"), "Who asks"),
        (Exemption("emergency", "洪水", "007", " "), "must approve"),
        (Exemption("emergency", "洪水", "007", " 007 "), "Nobody approves"),
    ],
)
def test_only_three_grounds_with_an_approver_exempt(exemption, says):
    found = [sentence.en for sentence in objections(exemption)]
    assert found == [] if not says else len(found) == 1
    assert says in "".join(found)


def test_an_act_is_asked_every_rule_that_its_facts_are_there_for():
    night = between("2026-10-01 23:00", "2026-10-01 23:10")
    demolished = action(type="demolition", interval=night, officers=("007",))
    looked_at = action(type="inspection", interval=night, level=Level.SPECIFIED)
    later = night.end_ms + 9 * DAY_MS
    found = {
        flag.rule for act in (demolished, looked_at) for flag in rules.evaluate(act, cover(act, []), later, POLICY)
    }
    assert found == {
        "missing-full-process-video",
        "fewer-than-two-officers",
        "enforcement-at-forbidden-time",
        "specified-act-without-video",
    }


@pytest.mark.parametrize(("complete_ms", "flags"), [(0, 1), (T0 + DAY_MS, 0), (T0 + DAY_MS - 1, 1)])
def test_a_station_that_says_its_log_has_arrived_is_silent_from_then_on(complete_ms, flags):
    assert len(heard(T0 + DAY_MS + POLICY.silent_ms, complete_ms)) == flags


def test_a_recorder_that_was_docked_before_it_was_issued_is_in_time_since_it_was_issued():
    assert held(T0 + POLICY.unseen_ms, T0 - 30 * DAY_MS) == []
    (flag,) = held(T0 + POLICY.unseen_ms + 1, T0 - 30 * DAY_MS)
    assert flag.inputs["seen_ms"] == T0
