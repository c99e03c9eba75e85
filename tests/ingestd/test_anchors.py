"""What is due, what a round does, and what the flag says."""

import threading
import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.checkpoint import cosign, parse_note
from ingestd.anchors.decide import ATTEMPTS, Anchored, Schedule, due, holes, newest, overdue, pause_s
from ingestd.anchors.tsa import FileTsa, stated_ms
from ingestd.errors import DatabaseError, StateError, TokenError
from ingestd.rules import anchor_missing
from ingestd.rules.anchor_missing import RULE
from tests.fakes.anchoring import (
    CENTRE_KEY,
    HOUR_MS,
    ORIGIN,
    OUTSIDER,
    OUTSIDER_NAME,
    SCHEDULE,
    FakeTsa,
    Site,
)
from tests.fakes.centre_world import World
from tests.rig.tsa import LocalTsa

NOW = 1_795_380_000_000


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def site(tmp_path, local):
    """A centre with one authority and a log of three entries, in the present, for tokens are made in the present."""
    made = Site(tmp_path, [FakeTsa(local)])
    made.centre.clock.ms = time.time_ns() // 1_000_000
    made.centre.grow(3)
    return made


def cosigned_by_outsider(site, utc_ms):
    return cosign(parse_note(site.centre.checkpoint().note), OUTSIDER_NAME, OUTSIDER, utc_ms // 1000)


@pytest.mark.parametrize(
    ("last", "size", "now_ms", "expected"),
    [
        (None, 0, NOW, False),
        (None, 1, NOW, True),
        (Anchored(10, NOW), 10, NOW + 10**12, False),
        (Anchored(10, NOW), 11, NOW + 24 * HOUR_MS - 1, False),
        (Anchored(10, NOW), 11, NOW + 24 * HOUR_MS, True),
        (Anchored(10, NOW), 109, NOW, False),
        (Anchored(10, NOW), 110, NOW, True),
        (Anchored(10, NOW + 10**12), 11, NOW, False),
        (Anchored(10, NOW + 10**12), 110, NOW, True),
    ],
)
def test_an_authority_is_due_by_time_or_by_growth(last, size, now_ms, expected):
    assert due(Schedule(24 * HOUR_MS, 100, 48 * HOUR_MS), last, size, now_ms) is expected


def test_growth_asks_for_nothing_when_it_is_not_configured():
    assert not due(SCHEDULE, Anchored(1, NOW), 10**9, NOW)


@pytest.mark.parametrize(("later_ms", "late"), [(48 * HOUR_MS, False), (48 * HOUR_MS + 1, True)])
def test_the_age_counts_from_the_newest_anchor_or_else_from_the_first_entry(later_ms, late):
    assert overdue(SCHEDULE, Anchored(7, NOW), 0, NOW + later_ms) is late
    assert overdue(SCHEDULE, None, NOW, NOW + later_ms) is late


@pytest.mark.parametrize(("ahead_ms", "late"), [(600_000, False), (600_001, True)])
def test_an_anchor_from_the_future_does_not_keep_the_flag_away(ahead_ms, late):
    assert overdue(SCHEDULE, Anchored(7, NOW + ahead_ms), 0, NOW) is late


def test_the_newest_anchor_vouches_for_most_entries_and_of_these_earliest():
    assert newest([]) is None
    assert newest([Anchored(5, 9), Anchored(7, 3), Anchored(7, 2)]) == Anchored(7, 2)


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 500))
def test_a_hole_is_exactly_a_span_without_anchor(times, max_age):
    now = max(times) + 100
    found = holes(times, now, max_age)
    for start, end in found:
        assert end - start > max_age
        assert not any(start < moment < end for moment in times)
    for moment in set(times):
        followed = any(moment < later <= moment + max_age for later in [*times, now])
        assert followed or moment in [start for start, _ in found]


def test_no_anchor_no_hole():
    assert holes([], NOW, 1) == []


@given(st.integers(0, 30), st.floats(0, 1, exclude_max=True))
def test_pauses_are_bounded_and_jittered(attempt, chance):
    assert 0 <= pause_s(attempt, chance) <= 8.0
    assert pause_s(attempt, 0.0) == 0.0
    assert pause_s(1, 0.5) == 2 * pause_s(0, 0.5)


def test_a_round_keeps_the_token_and_says_so_in_the_log(site):
    done = site.anchorer().round()

    [kept] = site.store.kept()
    assert (kept.size, kept.kind, kept.name) == (3, "rfc3161", "tsa-a")
    assert kept.checkpoint.read_bytes().startswith(f"{ORIGIN}\n3\n".encode())
    assert [one.name for one in done.anchored] == ["tsa-a"]
    [entry] = [e for e in site.centre.log.entries() if e.record.event == "checkpoint.anchored"]
    block = entry.record.block("anchor")
    assert (block["size"], block["name"], block["kind"]) == (3, "tsa-a", "rfc3161")
    assert site.store.unlogged() == []


def test_nothing_more_is_asked_until_it_is_due_and_then_only_once(site):
    anchorer = site.anchorer()
    anchorer.round()
    anchorer.round()
    assert site.tsas[0].asked == [3]
    site.centre.clock.ms += 25 * HOUR_MS
    anchorer.round()
    assert site.tsas[0].asked == [3, 4]


def test_force_asks_at_once_but_never_twice_about_the_same_log(site):
    anchorer = site.anchorer()
    anchorer.round(force=True)
    anchorer.round(force=True)
    anchorer.round(force=True)
    assert site.tsas[0].asked == [3, 4, 5]


def test_an_authority_that_fails_is_asked_again_with_pauses_and_others_do_not_wait_for_it(site, tmp_path):
    second = FakeTsa(LocalTsa(tmp_path / "b", "tsa-b"))
    site.tsas = [FakeTsa(site.tsas[0].local, failures=99), second]

    done = site.anchorer().round()

    assert len(site.tsas[0].asked) == ATTEMPTS
    assert site.pauses == [0.25, 0.5, 1.0]
    assert [one.name for one in done.anchored] == ["tsa-b"]
    assert done.failures == ["tsa-a did not answer"]


def test_an_authority_that_recovers_within_the_attempts_is_no_failure(site):
    site.tsas[0].failures = ATTEMPTS - 1
    done = site.anchorer().round()
    assert (len(done.anchored), done.failures) == (1, [])


def test_a_crash_between_token_and_entry_is_made_good_without_asking_again(site):
    site.centre.dies_before_record = True
    with pytest.raises(OSError, match="killed"):
        site.anchorer().round()
    assert site.centre.events().count("checkpoint.anchored") == 0
    site.centre.dies_before_record = False

    site.anchorer().round()

    assert site.centre.events().count("checkpoint.anchored") == 1
    assert site.tsas[0].asked == [3]


def test_the_flag_comes_with_age_and_goes_with_the_next_token(site):
    site.tsas[0].failures = 99
    anchorer = site.anchorer()
    anchorer.round()
    assert site.centre.flags == {}
    site.centre.clock.ms += 49 * HOUR_MS

    assert anchorer.round().overdue

    flag = site.centre.flags[f"anchor-missing:{ORIGIN}"]
    assert (flag.inputs["last_ms"], flag.inputs["last_size"]) == (None, 0)
    site.centre.clock.ms -= 49 * HOUR_MS
    site.tsas[0].failures = 0
    anchorer.round()
    assert site.centre.flags == {}


def test_the_flag_names_the_last_anchor(site):
    anchorer = site.anchorer()
    anchorer.round()
    site.tsas[0].failures = 999
    site.centre.clock.ms += 49 * HOUR_MS
    anchorer.round()
    assert site.centre.flags[f"anchor-missing:{ORIGIN}"].inputs["last_size"] == 3


def test_a_witness_note_is_taken_in_logged_and_clears_the_flag(site):
    site.tsas = []
    site.centre.clock.ms += 49 * HOUR_MS
    anchorer = site.anchorer()
    anchorer.round()
    assert site.centre.flags
    note = cosigned_by_outsider(site, site.centre.clock.ms)

    kept = anchorer.add_witness(note, [CENTRE_KEY])

    assert [(one.size, one.kind, one.name) for one in kept] == [(3, "witness", "procuratorate.example_witness")]
    assert OUTSIDER_NAME.encode() not in kept[0].checkpoint.read_bytes(), "the checkpoint itself stays bare"
    assert OUTSIDER_NAME.encode() in kept[0].path.read_bytes()
    [entry] = [e for e in site.centre.log.entries() if e.record.event == "checkpoint.anchored"]
    assert entry.record.block("anchor")["name"] == OUTSIDER_NAME
    assert site.centre.flags == {}


def test_the_same_note_again_changes_nothing(site):
    note = cosigned_by_outsider(site, site.centre.clock.ms)
    site.anchorer().add_witness(note, [CENTRE_KEY])
    site.anchorer().add_witness(note, [CENTRE_KEY])
    assert site.centre.events().count("checkpoint.anchored") == 1


def test_the_first_vouching_stays_it_proves_the_most(site):
    site.anchorer().add_witness(cosigned_by_outsider(site, site.centre.clock.ms), [CENTRE_KEY])
    [first] = site.store.kept()
    before = first.path.read_bytes()
    again = site.store.put(first.size, "witness", OUTSIDER_NAME, b"later")
    assert (again, first.path.read_bytes()) == (first, before)


def test_a_refusal_by_the_authority_is_called_one(local):
    refusal = bytes.fromhex("30053003020102")
    for judge in (stated_ms, lambda token: local.trust().check(token, b"data")):
        with pytest.raises(TokenError, match="the authority refused: status 2"):
            judge(refusal)


def test_notes_of_strangers_and_of_another_log_are_refused(site):
    plain = site.centre.checkpoint().note
    with pytest.raises(TokenError) as stranger:
        site.anchorer().add_witness(plain, [CENTRE_KEY])
    assert stranger.value.finding == "key-unknown"
    good = cosigned_by_outsider(site, site.centre.clock.ms)
    spoilt = good[:-8] + (b"A" if good[-8:-7] != b"A" else b"B") + good[-7:]
    with pytest.raises(TokenError) as bad:
        site.anchorer().add_witness(spoilt, [CENTRE_KEY])
    assert bad.value.finding == "sig-bad"
    lines = good.splitlines(keepends=True)
    with pytest.raises(TokenError, match="no known key") as unsigned:
        site.anchorer().add_witness(b"".join([*lines[:4], lines[-1]]), [CENTRE_KEY])
    assert unsigned.value.finding == "key-unknown", "a witness vouches for our checkpoint, it does not make one"
    assert site.store.kept() == []


@pytest.mark.parametrize(("entries", "words"), [(2, "truncated"), (3, "not those")])
def test_a_note_that_vouches_for_another_past_is_a_mismatch(site, tmp_path, entries, words):
    other = Site(tmp_path / "other", [])
    other.centre.grow(entries, reason="rewritten")
    note = cosigned_by_outsider(site, site.centre.clock.ms)
    with pytest.raises(TokenError, match=words) as refused:
        other.anchorer().add_witness(note, [CENTRE_KEY])
    assert refused.value.finding == "anchor-mismatch"


def test_when_everything_stops_nobody_waits_for_an_authority(site):
    site.tsas[0].failures = 99
    site.stopping = True
    assert len(site.anchorer().round().failures) == 1
    assert len(site.tsas[0].asked) == 1


def test_the_thread_goes_on_after_a_passing_failure_and_ends_when_told(site):
    stop = threading.Event()
    site.centre.fails_once = DatabaseError("away for a moment")
    worker = threading.Thread(target=site.anchorer().run, args=(stop, 0.01))
    worker.start()
    give_up = time.monotonic() + 20
    while not site.store.kept() and time.monotonic() < give_up:
        time.sleep(0.01)
    stop.set()
    worker.join(20)
    assert not worker.is_alive()
    assert len(site.store.kept()) == 1


def test_the_thread_ends_with_what_waiting_does_not_cure(site):
    site.centre.fails_once = StateError("log and tables contradict each other")
    with pytest.raises(StateError):
        site.anchorer().run(threading.Event(), 0.01)


def test_a_second_checkpoint_of_a_size_stops_everything(site, tmp_path):
    site.anchorer().round()
    rewritten = Site(tmp_path, [FakeTsa(site.tsas[0].local)])
    rewritten.centre.clock.ms = site.centre.clock.ms + 25 * HOUR_MS
    rewritten.centre.grow(3, reason="rewritten")
    with pytest.raises(StateError, match="another checkpoint of this size"):
        rewritten.store.put_checkpoint(3, rewritten.centre.checkpoint().note)


class TestFileDrop:
    @pytest.fixture
    def tsa(self, local, tmp_path):
        return FileTsa("tsa-a", tmp_path / "drop", local.trust())

    @pytest.fixture
    def dropped(self, site, tsa):
        site.tsas = [tsa]
        return site

    def test_a_question_is_left_once_and_its_answer_taken_in(self, dropped, local, tmp_path):
        done = dropped.anchorer().round()
        assert (done.waiting, done.anchored) == (["tsa-a"], [])
        question = tmp_path / "drop" / "tsa-a-3.tsq"
        dropped.centre.grow(2)
        dropped.anchorer().round()
        assert [path.name for path in (tmp_path / "drop").iterdir()] == ["tsa-a-3.tsq"]

        question.with_suffix(".tsr").write_bytes(local.answer(question.read_bytes()))
        done = dropped.anchorer().round()

        assert [one.size for one in done.anchored] == [3]
        assert list((tmp_path / "drop").iterdir()) == []
        assert dropped.centre.events().count("checkpoint.anchored") == 1

    def test_a_wrong_answer_is_set_aside_and_told(self, dropped, tmp_path):
        dropped.anchorer().round()
        (tmp_path / "drop" / "tsa-a-3.tsr").write_bytes(b"not a token")
        done = dropped.anchorer().round()
        assert done.anchored == []
        assert "not an RFC 3161 reply" in done.failures[0]
        assert (tmp_path / "drop" / "tsa-a-3.refused").exists()
        assert (tmp_path / "drop" / "tsa-a-3.tsq").exists(), "it is asked again"

    def test_an_answer_to_a_question_of_nobody_is_set_aside(self, dropped, tmp_path):
        (tmp_path / "drop").mkdir()
        (tmp_path / "drop" / "tsa-a-77.tsr").write_bytes(b"x")
        assert "nobody asked" in dropped.anchorer().round().failures[0]

    def test_an_unanswered_question_is_asked_anew_when_the_next_is_due(self, dropped, tmp_path):
        dropped.anchorer().round()
        dropped.centre.grow(2)
        dropped.centre.clock.ms += 25 * HOUR_MS
        dropped.anchorer().round()
        names = sorted(path.name for path in (tmp_path / "drop").iterdir())
        assert names == ["tsa-a-3.tsq", "tsa-a-5.tsq"]


def test_the_publication_starts_only_with_a_checkpoint(tmp_path):
    site = Site(tmp_path)
    with pytest.raises(TokenError) as early:
        site.published.publication([])
    assert early.value.finding == "nothing-checked"
    assert site.published.began_ms() is None
    site.centre.grow()
    assert site.published.began_ms() == site.centre.clock.ms
    assert site.published.root_at(2) is None


def test_the_flag_goes_through_the_centres_log_and_stands_in_the_index(tmp_path):
    world = World(tmp_path, f"sqlite:///{tmp_path}/index.db").started()
    flag = anchor_missing(ORIGIN, None, 0, 172_800, ZoneInfo("Asia/Shanghai"))

    for wanted in (flag, flag, None, None):
        world.pipeline.settle_flag(RULE.rule_id, ORIGIN, wanted)

    assert world.events()[-2:] == ["flag.set", "flag.cleared"]
    [row] = world.queries.flags("", RULE.rule_id, "", None, 10).rows
    assert (row.rule, row.state) == ("anchor-missing", "cleared")
    world.close()


def test_an_anchored_checkpoint_is_an_entry_that_survives_a_restart(tmp_path):
    world = World(tmp_path, f"sqlite:///{tmp_path}/index.db").started()
    signed = world.pipeline.checkpoint()
    world.pipeline.record([("checkpoint.anchored", {"anchor": {"name": "tsa-a", "size": signed.checkpoint.size}})])
    world.restart()
    world.pipeline.start()
    assert world.events()[-1] == "checkpoint.anchored"
    assert world.pipeline.checkpoint().checkpoint.size == signed.checkpoint.size + 1
    world.close()
