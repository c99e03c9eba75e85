"""What people decide and look at: each act is one signed entry, its rows, and what follows from it."""

import hashlib

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from custody.log import Log
from ingestd import decisions, flag_life
from ingestd.audit.found import Report
from ingestd.audit.verify import Subject, audit
from ingestd.decisions import Person
from ingestd.errors import DatabaseError, ObjectMissingError, RefusedError
from ingestd.index import tables as t
from ingestd.pipeline import ReadBack
from ingestd.running import Running, changed_keys, without_secret
from ingestd.web.app import create_app
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import ORIGIN, SIGNER, World
from tests.fakes.log_files import Fault
from tests.ingestd.test_pipeline import HOUR, START, load

DAY = 24 * HOUR
WHO = Person("甲", "亲眼所见")
OTHER = Person("乙", "复核无误")


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def clip(world):
    """A clip in no action's time, verified."""
    object_id = world.stations[0].clip(START - 5 * HOUR, officer_as_stated="000001")
    world.pipeline.handle([world.stations[0].message()])
    world.pipeline.record_checks(world.read_back())
    return object_id


def entries(world, event):
    log = Log(world.files["centre"], ORIGIN, [SIGNER.verify_key()])
    return [entry.record.payload for entry in log.entries() if entry.record.event == event]


def gone(_name):
    return False


def links(world, object_id):
    return {one.action_id: one.method for one in world.queries.clip(object_id).links}


# Links by hand.


def test_link_by_hand_is_an_entry_and_covers_the_action(world):
    load(world)
    clip = somebody_elses(world)

    world.pipeline.decide(decisions.link(clip, "A1", WHO))

    [entry] = entries(world, "case.linked")
    assert entry["actors"] == [{"role": "person", "id": "甲"}]
    assert (entry["reason"], entry["link"]["method"], entry["link"]["case"]) == ("亲眼所见", "manual", "案〔2026〕1号")
    assert links(world, clip) == {"A1": "manual"}
    assert world.queries.action("A1").coverage.clips == (clip,)


def somebody_elses(world):
    """A clip that shows the action, from an officer who took no part."""
    object_id = world.stations[0].clip(START, officer_as_stated="000002")
    world.pipeline.handle([world.stations[0].message()])
    assert links(world, object_id) == {}
    return object_id


def test_link_by_hand_outlives_what_the_machine_finds(world, clip):
    load(world)
    world.pipeline.decide(decisions.link(clip, "A1", WHO))

    load(world, start=START + 9 * HOUR)
    world.stations[0].described(clip, START + 40 * HOUR, officer_as_stated="000002")
    world.pipeline.handle([world.stations[0].message(2)])

    assert links(world, clip) == {"A1": "manual"}


def test_what_a_person_parted_no_machine_links_again_but_a_person_may(world):
    load(world)
    station = world.stations[0]
    object_id = station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    assert links(world, object_id) == {"A1": "officer-time"}
    assert world.queries.flags().rows == ()

    world.pipeline.decide(decisions.unlink(object_id, "A1", WHO))

    assert links(world, object_id) == {}
    assert [flag.rule for flag in world.queries.flags().rows] == ["missing-full-process-video"]
    load(world, minutes=9)
    station.described(object_id, START, 9 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message(2)])
    world.restart()
    world.pipeline.start()
    assert links(world, object_id) == {}
    assert world.queries.clip(object_id).suggestions == ()

    world.pipeline.decide(decisions.link(object_id, "A1", OTHER))

    assert links(world, object_id) == {"A1": "manual"}
    world.pipeline.decide(decisions.unlink(object_id, "A1", OTHER))
    assert links(world, object_id) == {}


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("number", range(3))
def test_power_cut_while_a_person_links_leaves_all_of_it_or_nothing(tmp_path, fault, number):
    world = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", [FakeStation()]).started()
    load(world)
    object_id = somebody_elses(world)
    files = world.files["centre"]
    files.fail_at, files.fault = files.writes + number, fault
    try:
        world.pipeline.decide(decisions.link(object_id, "A1", WHO))
    except OSError:
        world.restart()
        files.fail_at = -1
        world.pipeline.start()
    linked = "case.linked" in world.events()

    assert links(world, object_id) == ({"A1": "manual"} if linked else {})
    assert world.queries.action("A1").coverage.clips == ((object_id,) if linked else ())
    assert world.compared().outcome == 0
    world.close()


# Flags.


def test_explanation_stays_however_often_the_flag_is_found_anew(world):
    load(world)
    [flag] = world.queries.flags().rows

    world.pipeline.decide(flag_life.explain(flag.flag_id, Person("甲", "电池耗尽")))
    station = world.stations[0]
    station.clip(START, 10 * 60_000, officer_as_stated="000001")
    world.pipeline.handle([station.message()])
    assert world.queries.flags().rows == ()
    load(world, action="A1", start=START + 9 * HOUR)

    [again] = world.queries.flags().rows
    assert (again.flag_id, again.explanation, again.explained_by) == (flag.flag_id, "电池耗尽", "甲")
    page = TestClient(create_app(world.queries, None)).get("/flags?lang=en").text
    assert "甲 · <b>explained</b>: 电池耗尽" in page


# Holds and disposals.


def approve(world, object_id, *people):
    for who in people or (WHO, OTHER):
        world.pipeline.decide(decisions.approve_disposal(object_id, who, 183))


@pytest.fixture
def old(world, clip):
    """A clip that has been looked at and is past its time."""
    world.pipeline.viewed(clip, "detail", "甲")
    world.clock.ms += 200 * DAY
    return clip


def test_two_people_approve_and_the_empty_place_in_the_store_is_recorded(world, old):
    approve(world, old)
    with pytest.raises(RefusedError, match="the store still holds originals/"):
        world.pipeline.decide(decisions.record_disposal(old, WHO, lambda _name: True))

    world.pipeline.decide(decisions.record_disposal(old, WHO, gone))

    [entry] = entries(world, "disposal.done")
    assert entry["disposal"]["approved_by"] == ["甲", "乙"]
    assert world.queries.clip(old).row.verdict == "disposed"
    assert world.pipeline.checks_due(limit=10) == []
    [row] = world.queries.disposals()
    assert (row.object_id, row.approved_by, row.done_ms) == (old, ("甲", "乙"), world.clock.ms)
    with pytest.raises(RefusedError, match="disposed of already"):
        approve(world, old)


def test_one_person_is_not_enough(world, old):
    with pytest.raises(RefusedError, match="0 of 2 people have approved"):
        world.pipeline.decide(decisions.record_disposal(old, WHO, gone))
    approve(world, old, WHO)
    with pytest.raises(RefusedError, match="a second person is needed"):
        approve(world, old, WHO)
    with pytest.raises(RefusedError, match="1 of 2 people have approved"):
        world.pipeline.decide(decisions.record_disposal(old, WHO, gone))
    approve(world, old, OTHER)
    with pytest.raises(RefusedError, match="甲 and 乙 have approved this already"):
        approve(world, old, Person("丙", "再看一次"))
    assert "disposal.done" not in world.events()


@pytest.mark.parametrize("on", ["object", "stated case"])
def test_hold_forbids_approval_and_recording_until_released(world, on):
    station = world.stations[0]
    old = station.clip(START, case_as_stated="案〔2026〕7号")
    world.pipeline.handle([station.message()])
    world.pipeline.record_checks(world.read_back())
    world.pipeline.viewed(old, "detail", "甲")
    world.clock.ms += 200 * DAY
    what = (old, "") if on == "object" else ("", "案[2026]7号")
    [held] = world.pipeline.decide(decisions.hold(*what, WHO))
    hold_id = held.record.block("hold")["id"]
    with pytest.raises(RefusedError, match=f"is on hold: {hold_id}"):
        approve(world, old)
    assert [row.hold_id for row in world.queries.holds()] == [hold_id]

    world.pipeline.decide(decisions.release(hold_id, OTHER))

    approve(world, old)
    assert world.queries.holds() == []
    assert world.queries.holds(every=True)[0].released_by == "乙"
    with pytest.raises(RefusedError, match="is in force"):
        world.pipeline.decide(decisions.release(hold_id, OTHER))
    world.pipeline.decide(decisions.hold(*what, WHO))
    with pytest.raises(RefusedError, match="is on hold"):
        world.pipeline.decide(decisions.record_disposal(old, WHO, gone))


def test_linked_clip_is_kept_with_its_case_also_after_the_approval(world, old):
    approve(world, old)
    load(world)
    world.pipeline.decide(decisions.link(old, "A1", WHO))
    with pytest.raises(RefusedError, match="is missing, not disposed"):
        world.pipeline.decide(decisions.record_disposal(old, WHO, gone))
    with pytest.raises(RefusedError, match="is linked to an action"):
        approve(world, old)


def test_clip_that_nobody_looked_at_is_kept(world, clip):
    world.clock.ms += 200 * DAY
    with pytest.raises(RefusedError, match="nobody has looked at it"):
        approve(world, clip)


def test_young_clip_is_kept(world, clip):
    world.pipeline.viewed(clip, "detail", "甲")
    world.clock.ms += 182 * DAY
    with pytest.raises(RefusedError, match="it is kept for 183"):
        approve(world, clip)


def test_clock_of_a_station_that_is_behind_makes_no_clip_old(world):
    station = world.stations[0]
    station.utc_ms -= 400 * DAY
    object_id = station.clip(START)
    world.pipeline.handle([station.message()])
    world.pipeline.record_checks(world.read_back())
    world.pipeline.viewed(object_id, "detail", "甲")

    with pytest.raises(RefusedError, match="0 days old here; it is kept for 183"):
        approve(world, object_id)


@pytest.mark.parametrize("verdict", ["unchecked", "failed", "missing"])
def test_what_was_lost_or_never_read_is_no_disposal(world, verdict):
    station = world.stations[0]
    object_id = station.clip(START)
    world.pipeline.handle([station.message()])
    world.pipeline.viewed(object_id, "detail", "甲")
    world.clock.ms += 200 * DAY
    returned = {"unchecked": [], "failed": [ReadBack(object_id, 1, "00" * 32)], "missing": [lost(object_id)]}
    world.pipeline.record_checks(returned[verdict])

    with pytest.raises(RefusedError, match=f"is {verdict}, not verified"):
        approve(world, object_id)


def lost(object_id):
    return ReadBack(object_id, missing=True)


def test_answer_of_the_store_that_comes_after_the_disposal_changes_nothing(world, old):
    approve(world, old)
    world.pipeline.decide(decisions.record_disposal(old, WHO, gone))

    assert world.pipeline.record_checks([lost(old)]) == []

    assert world.queries.clip(old).row.verdict == "disposed"
    assert "integrity.checked" not in world.events()


def test_disposed_original_shows_no_action_that_is_imported_later(world, old):
    approve(world, old)
    world.pipeline.decide(decisions.record_disposal(old, WHO, gone))

    load(world, start=START - 5 * HOUR, minutes=1)

    assert links(world, old) == {"A1": "officer-time"}
    coverage = world.queries.action("A1").coverage
    assert (coverage.nominal_ppm, [gap.reason for gap in coverage.gaps]) == (0, ["original-not-as-recorded"])


def test_unlinking_does_not_end_a_hold_on_the_case(world, old):
    load(world)
    world.pipeline.decide(decisions.link(old, "A1", WHO))
    world.pipeline.decide(decisions.hold("", "案〔2026〕1号", WHO))
    world.pipeline.decide(decisions.unlink(old, "A1", OTHER))

    with pytest.raises(RefusedError, match="is on hold"):
        approve(world, old)


def test_hold_on_a_case_that_nobody_knows_holds_nothing_and_is_refused(world, clip):
    with pytest.raises(RefusedError, match="there is no case '案〔2026〕1号'"):
        world.pipeline.decide(decisions.hold("", "案〔2026〕1号", WHO))
    load(world)

    world.pipeline.decide(decisions.hold("", "案[2026] 1号", WHO))

    [held] = world.queries.holds()
    assert held.case == "案[2026] 1号"


UNKNOWN = "01a20496-231a-7d55-8b02-91c3a4e05f77"


@pytest.mark.parametrize(
    "decision",
    [
        decisions.link(UNKNOWN, "A1", WHO),
        decisions.link("no id", "A1", WHO),
        decisions.unlink(UNKNOWN, "A1", WHO),
        flag_life.explain("no-such-flag", WHO),
        decisions.hold(UNKNOWN, "", WHO),
        decisions.hold("", "", WHO),
        decisions.hold(UNKNOWN, "案", WHO),
        decisions.release(UNKNOWN, WHO),
        decisions.approve_disposal(UNKNOWN, WHO, 183),
        decisions.record_disposal(UNKNOWN, WHO, gone),
    ],
)
def test_what_is_not_there_is_refused_and_leaves_no_entry(world, decision):
    before = world.events()

    with pytest.raises(RefusedError) as raised:
        world.pipeline.decide(decision)

    assert raised.value.exit_code == 64
    assert world.events() == before


def test_link_to_no_action_twice_or_of_nothing_is_refused(world, clip):
    load(world)
    with pytest.raises(RefusedError, match="no action A9"):
        world.pipeline.decide(decisions.link(clip, "A9", WHO))
    with pytest.raises(RefusedError, match="not linked"):
        world.pipeline.decide(decisions.unlink(clip, "A1", WHO))
    world.pipeline.decide(decisions.link(clip, "A1", WHO))
    with pytest.raises(RefusedError, match="by hand already"):
        world.pipeline.decide(decisions.link(clip, "A1", WHO))


@pytest.mark.parametrize(("name", "reason"), [("", "x"), ("甲", " "), ("甲", "a\nb"), ("甲", "x" * 2001)])
def test_person_needs_a_name_and_a_reason_on_one_line(name, reason):
    with pytest.raises(RefusedError):
        Person(name, reason)


# Views.


class Film:
    def __init__(self, world):
        self.world, self.seen = world, []

    def read_range(self, _name, start, end):
        self.seen.append(self.world.events().count("access.viewed"))
        return b"x" * (end - start)


@pytest.fixture
def visitor(world):
    film = Film(world)
    app = create_app(world.queries, film, viewed=world.pipeline.viewed, user_header="X-Remote-User")
    client = TestClient(app)
    client.film = film
    return client


def test_page_of_a_clip_is_an_entry_and_stands_on_the_page(world, clip, visitor):
    page = visitor.get(f"/clips/{clip}?lang=en", headers={"X-Remote-User": "zhang.san"}).text

    [entry] = entries(world, "access.viewed")
    assert entry["view"] == {"object": clip, "what": "detail"}
    assert entry["actors"] == [{"role": "person", "id": "zhang.san"}]
    assert "zhang.san" in page
    assert "access.viewed" in page


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("张三".encode(), "张三"),
        ("王芳".encode(), "王芳"),
        ("Jos\u00e9".encode("latin-1"), "Jos\u00e9"),
        (b"a\x07b", "a\ufffdb"),
        (b"", "address testclient"),
        ("长".encode() * 300, "长" * 200),
    ],
)
def test_name_of_a_visitor_is_entered_as_it_was_sent(world, clip, visitor, sent, named):
    visitor.get(f"/clips/{clip}", headers={b"X-Remote-User": sent})

    [entry] = entries(world, "access.viewed")
    assert entry["actors"][0]["id"] == named


def test_player_with_a_thousand_ranges_is_one_entry_before_the_first_byte(world, clip, visitor):
    station = world.stations[0]
    station.proxied(clip)
    world.pipeline.handle([station.message(2)])
    visitor.head(f"/media/{clip}/proxy")
    assert world.events().count("access.viewed") == 0

    for start in range(30):
        assert visitor.get(f"/media/{clip}/proxy", headers={"Range": f"bytes={start}-{start}"}).status_code == 206

    [entry] = entries(world, "access.viewed")
    assert entry["view"]["what"] == "proxy"
    assert entry["actors"][0]["id"] == "address testclient"
    assert set(visitor.film.seen) == {1}
    world.restart()
    world.pipeline.viewed(clip, "proxy", "address testclient")
    assert world.events().count("access.viewed") == 1
    world.clock.ms += 31 * 60_000
    world.pipeline.viewed(clip, "proxy", "address testclient")
    world.pipeline.viewed(clip, "proxy", "address elsewhere")
    assert world.events().count("access.viewed") == 3


def test_clock_that_was_ahead_hides_no_later_view(world, clip):
    right_ms = world.clock.ms
    world.clock.ms += 400 * DAY
    world.pipeline.viewed(clip, "proxy", "甲")
    world.clock.ms = right_ms
    world.pipeline.viewed(clip, "proxy", "甲")
    world.restart()
    world.clock.ms += 31 * 60_000
    world.pipeline.viewed(clip, "proxy", "甲")

    assert world.events().count("access.viewed") == 3


@pytest.mark.parametrize("path", ["/clips/{}", "/media/{}/proxy"])
def test_what_cannot_be_recorded_is_not_shown(world, clip, path):
    station = world.stations[0]
    station.proxied(clip)
    world.pipeline.handle([station.message(2)])
    film = Film(world)

    def refuse(_object_id, _what, _actor):
        raise DatabaseError("the database does not answer")

    visitor = TestClient(create_app(world.queries, film, viewed=refuse))

    assert visitor.get(path.format(clip)).status_code == 503
    assert film.seen == []


def test_whoever_looked_unnamed_is_told_in_the_language_of_the_page(world, clip):
    for actor in ("address 10.0.0.7", "token oa", "address", "甲"):
        world.pipeline.viewed(clip, "detail", actor)
    pages = TestClient(create_app(world.queries, None))
    zh, en = (pages.get(f"/clips/{clip}?lang={tag}").text for tag in ("zh-CN", "en"))
    assert [f"<td>{told}</td>" in zh for told in ("地址 10.0.0.7", "令牌 oa", "address", "甲")] == [True] * 4
    assert "<td>address 10.0.0.7</td>" in en
    assert {entry["actors"][0]["id"] for entry in entries(world, "access.viewed")} == {
        "address 10.0.0.7",
        "token oa",
        "address",
        "甲",
    }


def test_unknown_clip_is_no_view(world, visitor):
    assert visitor.get(f"/clips/{UNKNOWN}").status_code == 404
    assert "access.viewed" not in world.events()


# Configuration.


def configured(world, **settings):
    world.running = Running({"program.version": "1", **settings}, world.catalogue)
    world.restart()
    world.pipeline.start()


def test_configuration_is_recorded_before_anything_is_done_with_it(tmp_path):
    world = World(tmp_path, f"sqlite:///{tmp_path / 'i.db'}", running=Running({"a": "1"}, b"x"))
    world.pipeline.start()

    assert world.events() == ["config.changed", "catalogue.changed", "station.enrolled"]
    [entry] = entries(world, "config.changed")
    assert entry["config"]["sha256"] == hashlib.sha256(b'{"a":"1"}').hexdigest()
    assert (tmp_path / "configurations" / f"{entry['config']['sha256']}.json").read_bytes() == b'{"a":"1"}'
    assert entry["config"]["changed"] == ["a", "catalogue"]
    world.close()


def test_only_a_change_is_an_entry_and_names_its_keys(world):
    configured(world, grace="24", zone="x")
    configured(world, grace="24", zone="x")
    assert len(entries(world, "config.changed")) == 1

    configured(world, grace="48", zone="x")
    assert entries(world, "config.changed")[-1]["config"]["changed"] == ["grace"]

    world.running = Running(world.running.settings, world.catalogue + b"# edited")
    world.restart()
    world.pipeline.start()
    assert entries(world, "config.changed")[-1]["config"]["changed"] == ["catalogue"]


def test_two_processes_with_two_configurations_each_say_so_before_they_work(world):
    configured(world, grace="24")
    first = world.pipeline
    configured(world, grace="48")
    first.sweep()
    first.sweep()

    assert len(entries(world, "config.changed")) == 3


def test_changed_keys_without_the_old_settings_are_all():
    now = Running({"b": "1", "a": "2"})
    assert changed_keys(None, now) == changed_keys(b"torn", now) == ["a", "b"]
    assert changed_keys(b'{"a":"2","c":"3"}', now) == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("pkcs11:token=t?module-path=/m.so&pin-value=1234", "pkcs11:token=t?module-path=/m.so&pin-value=***"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("postgresql+psycopg://me:se/cr:et@host/db", "postgresql+psycopg://me:***@host/db"),
        (
            "postgresql+psycopg://host/db?user=me&password=secret&x=1",
            "postgresql+psycopg://host/db?user=me&password=***&x=1",
        ),
        ("s3://b/e?aws_secret_access_key=k/1&region=r", "s3://b/e?aws_secret_access_key=***&region=r"),
        ("http://127.0.0.1:8080/at", "http://127.0.0.1:8080/at"),
        ("pkcs11:object=custody;token=bwc", "pkcs11:object=custody;token=bwc"),
    ],
)
def test_no_secret_is_kept(text, shown):
    assert without_secret(text) == shown


# What the audit says of what is gone.


class Shelf:
    def __init__(self, objects):
        self.objects = objects

    def digest(self, name):
        if name not in self.objects:
            raise ObjectMissingError(f"store has no {name}")
        return len(self.objects[name]), hashlib.sha256(self.objects[name]).hexdigest()

    def list(self):
        return ((name, len(data)) for name, data in self.objects.items())


def audited(world, objects) -> Report:
    world.pipeline.checkpoint()
    stations = [station.enrolled for station in world.stations]
    key = world.stations[0].enrolled.note_key
    centre = type(key)(ORIGIN, SIGNER.verify_key())
    return audit(Subject(centre, stations, world.files.__getitem__, [], Shelf(objects), world.clock.ms, 0))


def test_disposed_original_is_disposed_in_an_audit_and_never_missing(world, old):
    station = world.stations[0]
    kept = station.clip(START)
    station.proxied(old)
    world.pipeline.handle([station.message(2)])
    world.pipeline.record_checks(world.read_back())
    approve(world, old)
    rest = {name: data for name, data in station.store.items() if kept in name}
    assert audited(world, rest).as_json()["missing"] == 1

    world.pipeline.decide(decisions.record_disposal(old, WHO, gone))

    report = audited(world, rest).as_json()
    assert (report["disposed"], report["missing"], report["verified"], report["outcome"]) == (1, 0, 1, 0)
    assert report["proxies"]["disposed"] == 1
    assert audited(world, {}).as_json()["missing"] == 1


def test_disposal_that_two_people_did_not_approve_excuses_nothing(world, old):
    world.pipeline.record([("disposal.done", {"disposal": {"object": old, "derived": []}, **WHO.blocks})])

    report = audited(world, {}).as_json()

    assert (report["disposed"], report["missing"], report["outcome"]) == (0, 1, 1)


def test_all_disposed_is_not_ok(world, old):
    approve(world, old)
    world.pipeline.decide(decisions.record_disposal(old, WHO, gone))

    assert audited(world, {}).as_json()["outcome"] == 2


def test_every_act_is_a_row_that_names_its_entry(world, old):
    approve(world, old)
    with world.engine.connect() as connection:
        rows = connection.execute(select(t.approval)).all()
    assert len({row.log_seq for row in rows}) == 2


def without(world, *gone_ids):
    """The store without some objects, and without what was made of them."""
    return {name: data for name, data in world.stations[0].store.items() if not any(one in name for one in gone_ids)}


def two_approvals(object_id):
    return [("disposal.approved", {"disposal": {"object": object_id}, **who.blocks}) for who in (WHO, OTHER)]


def done(object_id, *derived):
    return ("disposal.done", {"disposal": {"object": object_id, "derived": list(derived)}, **WHO.blocks})


def test_disposal_that_names_another_original_as_derived_does_not_excuse_it(world, old):
    kept = world.stations[0].clip(START)
    world.pipeline.handle([world.stations[0].message(2)])
    world.pipeline.record([*two_approvals(old), done(old, kept)])

    report = audited(world, without(world, old, kept)).as_json()

    assert (report["disposed"], report["missing"], report["outcome"]) == (1, 1, 1)


def test_disposal_excuses_what_was_derived_from_that_very_original(world, old):
    station = world.stations[0]
    kept = station.clip(START)
    proxy = station.proxied(kept)
    world.pipeline.handle([station.message(2)])
    world.pipeline.record([*two_approvals(old), done(old, proxy)])

    report = audited(world, without(world, old, proxy)).as_json()

    assert (report["disposed"], report["proxies"]["disposed"], report["proxies"]["missing"]) == (1, 0, 1)


def test_disposal_of_what_is_on_hold_in_the_log_excuses_nothing_until_it_is_released(world, old):
    """Whoever deletes the row of a hold does not undo the hold."""
    world.pipeline.decide(decisions.hold(old, "", WHO))
    hold = world.queries.holds(every=False)[0].hold_id
    world.pipeline.record([*two_approvals(old), done(old)])
    assert audited(world, {}).as_json()["missing"] == 1

    world.pipeline.decide(decisions.release(hold, WHO))
    assert audited(world, {}).as_json()["missing"] == 1
    world.pipeline.record([done(old)])

    assert audited(world, {}).as_json()["disposed"] == 1


def test_disposal_of_what_is_linked_in_the_log_excuses_nothing(world, old):
    load(world)
    link = {"object": old, "action": "A1", "method": "manual", "score": 100, "reasons": ["x"], "rule_version": "v"}
    world.pipeline.record([("case.linked", {"link": link, **WHO.blocks}), *two_approvals(old), done(old)])

    assert audited(world, {}).as_json()["missing"] == 1


def test_one_person_under_two_spellings_is_no_second_person_in_an_audit(world, old):
    spellings = [Person(name, "x") for name in ("Li 1", "ｌｉ１")]
    approvals = [("disposal.approved", {"disposal": {"object": old}, **who.blocks}) for who in spellings]
    world.pipeline.record([*approvals, done(old)])

    assert audited(world, {}).as_json()["missing"] == 1


@pytest.mark.parametrize("again", ["甲 ", " 甲", "甲　", "甲"])
def test_one_person_under_two_spellings_approves_once(world, old, again):
    world.pipeline.decide(decisions.approve_disposal(old, WHO, 0))

    with pytest.raises(RefusedError, match="a second person is needed"):
        world.pipeline.decide(decisions.approve_disposal(old, Person(again, "x"), 0))


@pytest.mark.parametrize("text", ["a\x7fb", "a\x9bb", "a\u2028b", "a\u202eb", "a\u200bb", "a\udc80b", "a\nb"])
def test_name_or_reason_that_leaves_its_line_is_refused(text):
    for name, reason in ((text, "x"), ("x", text)):
        with pytest.raises(RefusedError, match="on one line"):
            Person(name, reason)
    assert Person("甲", "现场　补拍").reason == "现场　补拍"
