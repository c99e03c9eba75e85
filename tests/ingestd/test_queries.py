import pytest
from sqlalchemy import select, text

from ingestd.errors import DatabaseError
from ingestd.index import tables as t
from ingestd.index.acts import ActionFilter
from ingestd.index.database import open_engine
from ingestd.index.queries import ClipFilter, Page, Queries
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.fakes.full_index import FIRST_MS, OFFICER, RARE_UNIT, UNIT, clip_id, fill
from tests.ingestd.test_pipeline import START, registers

HOUR = 3_600_000


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation(), FakeStation("station-02", 2)]).started()
    yield made
    made.close()


@pytest.fixture
def clips(world):
    """Five clips: linked, unlinked, quarantined, sidecar, and one of another station."""
    first, second = world.stations
    first.seen("a.mp4")
    made = [
        first.clip(START, officer_as_stated="000001"),
        first.clip(START + 9 * HOUR, officer_as_stated="000001"),
        first.clip(kind="empty"),
        first.clip(kind="sidecar"),
        second.clip(START + 20 * HOUR, recorder="REC2", officer_as_stated="000002"),
    ]
    world.pipeline.import_cases(registers(), "cases.json")
    world.pipeline.handle([first.message(), second.message()])
    return made


def ids(page):
    return [row.object_id for row in page.rows]


def test_summary_counts_add_up(world, clips):
    world.pipeline.record_checks(world.read_back()[:2])

    summary = world.queries.summary()

    counts = summary.clips
    assert (counts.indexed, counts.quarantined, counts.verified) == (4, 1, 2)
    assert (counts.linked, counts.unlinked) == (1, 2)
    assert counts.found == counts.offloaded + counts.failed + 1
    assert (summary.log.origin, summary.log.size) == ("custody.example/centre", len(world.events()))
    assert set(summary.as_json()) == {"clips", "flags", "messages_quarantined", "log"}


def test_summary_of_an_empty_index(tmp_path, database_url):
    world = World(tmp_path, database_url)
    assert world.queries.summary().log.size == 0
    world.close()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ClipFilter(), [0, 1, 2, 3, 4]),
        (ClipFilter(linked=True), [0]),
        (ClipFilter(linked=False), [1, 4]),
        (ClipFilter(status="quarantined"), [2]),
        (ClipFilter(station="station-02"), [4]),
        (ClipFilter(recorder="REC2"), [4]),
        (ClipFilter(officer="000001"), [0, 1]),
        (ClipFilter(kind="sidecar"), [3]),
        (ClipFilter(case="案〔2026〕1号"), [0]),
        (ClipFilter(verdict="verified"), []),
        (ClipFilter(text="%"), []),
        (ClipFilter(text="DCIM/"), [0, 1, 2, 3, 4]),
        (ClipFilter(from_ms=START + 8 * HOUR, until_ms=START + 10 * HOUR), [1]),
    ],
)
def test_filters(world, clips, wanted, expected):
    assert sorted(ids(world.queries.clips(wanted))) == sorted(clips[n] for n in expected)


def test_pages_hold_every_clip_once_newest_first(world, clips):
    found, after = [], None
    while True:
        page = world.queries.clips(after=after, limit=2)
        found += ids(page)
        after = page.next
        if after is None:
            break
    assert found == sorted(clips, reverse=True)


def test_clip_shows_its_custody_events_in_order(world, clips):
    world.stations[0].proxied(clips[0])
    world.pipeline.handle([world.stations[0].message()])
    world.pipeline.record_checks(world.read_back())

    detail = world.queries.clip(clips[0])

    assert [event.event for event in detail.events] == [
        "ingest.copied",
        "media.described",
        "proxy.created",
        "case.linked",
        "central.verified",
    ]
    assert detail.events[0].signer == world.stations[0].signer.verify_key().keyid
    assert detail.links[0].case_title == "查封"
    assert detail.row.officer_name == "甲000001"
    assert len(detail.proxies) == 1
    assert detail.media["kind"] == "video"


def test_what_is_not_there_is_none(world):
    assert world.queries.clip("nothing") is None
    assert world.queries.action("nothing") is None


def test_action_shows_coverage_links_and_clips(world, clips):
    detail = world.queries.action("A1")

    assert detail.case.title == "查封"
    assert detail.officer_names == {"000001": "甲000001", "000013": "甲000013"}
    assert detail.coverage.gaps[0].reason == "no-clip"
    assert list(detail.clips) == [clips[0]]


def test_lists_of_actions_cases_and_flags(world, clips):
    [action] = world.queries.actions().rows
    [case] = world.queries.cases().rows
    [flag] = world.queries.flags().rows

    assert (action.links, action.open_flags, action.case_title) == (1, 1, "查封")
    assert (case.actions, case.open_flags) == (1, 1)
    assert (flag.rule, flag.action_id, flag.case) == ("full-process-gap", "A1", "案〔2026〕1号")
    assert world.queries.flags(rule="other").rows == ()
    assert world.queries.flags(action_id="A1").rows == (flag,)
    assert world.queries.actions(ActionFilter(case="other")).rows == ()


def test_flags_and_actions_are_paged(world, clips):
    for number in range(2, 6):
        world.pipeline.import_cases(registers(action=f"A{number}"), f"{number}.json")
    for read, key in (
        (world.queries.flags, lambda row: row.flag_id),
        (world.queries.actions, lambda row: row.action.action_id),
    ):
        found, after = [], None
        while True:
            page = read(after=after, limit=2)
            found += [key(row) for row in page.rows]
            after = page.next
            if after is None:
                break
        assert len(found) == len(set(found)) == 5


def test_database_that_is_gone_is_an_error_of_ours(tmp_path):
    from ingestd.index.database import connect  # noqa: PLC0415  # only here without migrations

    with pytest.raises(DatabaseError):
        Queries(connect(f"sqlite:///{tmp_path / 'empty.db'}")).summary()


def test_files_that_did_not_arrive_are_listed_by_name_a_page_at_a_time(world):
    station = world.stations[0]
    station.seen("awaited.mp4", *(f"{number}.mp4" for number in range(3)))
    for number in range(3):
        station.failed(f"{number}.mp4")
    world.pipeline.handle([station.message()])

    first = world.queries.files("failed", limit=2)
    rest = world.queries.files("failed", first.next, limit=2)

    assert {row.path for row in (*first.rows, *rest.rows)} == {"0.mp4", "1.mp4", "2.mp4"}
    assert rest.next is None
    assert {(row.reason, row.station, row.recorder) for row in rest.rows} == {("read-error", station.name, "REC1")}
    assert [row.path for row in world.queries.files("pending").rows] == ["awaited.mp4"]
    assert world.queries.summary().clips.failed == 3


@pytest.fixture
def full(database_url):
    engine = open_engine(database_url)
    fill(engine, 1500)
    yield engine
    engine.dispose()


MEDIA = "status = 'indexed' AND kind IN ('video', 'audio', 'image')"
OF_UNIT = "officer IN (SELECT number FROM officer WHERE unit = '{}')"
OF_CASES = "case_number IN (SELECT number FROM case_file WHERE unit = '{}')"
OF_OFFICER = "action_id IN (SELECT action_id FROM action_officer WHERE officer = '{}')"
OF_NO_UNIT = "officer NOT IN (SELECT number FROM officer WHERE unit <> '')"
PLAIN = [
    ({"linked": True}, f"{MEDIA} AND links > 0"),
    ({"linked": False}, f"{MEDIA} AND links = 0"),
    ({"status": "quarantined"}, "status = 'quarantined'"),
    ({"verdict": "failed"}, "verdict = 'failed'"),
    ({"kind": "image"}, "kind = 'image'"),
    ({"text": clip_id(7)}, f"object_id = '{clip_id(7)}'"),
    ({"text": "RARE"}, "path LIKE '%RARE%'"),
    ({"unit": UNIT}, OF_UNIT.format(UNIT)),
    ({"unit": RARE_UNIT}, OF_UNIT.format(RARE_UNIT)),
    ({"unit": "none such"}, "1 = 0"),
    ({"unit": "-"}, OF_NO_UNIT),
    ({"unit": UNIT, "linked": False}, f"{MEDIA} AND links = 0 AND {OF_UNIT.format(UNIT)}"),
    ({"late_ms": 24 * HOUR}, f"{MEDIA} AND copied_ms - end_ms > {24 * HOUR}"),
    ({"late_ms": HOUR}, f"{MEDIA} AND copied_ms - end_ms > {HOUR}"),
]
TIMED = [
    ({"from_ms": FIRST_MS}, f"end_ms >= {FIRST_MS}"),
    ({"until_ms": FIRST_MS}, f"start_ms < {FIRST_MS}"),
    ({"from_ms": FIRST_MS, "until_ms": FIRST_MS + HOUR}, f"end_ms >= {FIRST_MS} AND start_ms < {FIRST_MS + HOUR}"),
    ({"from_ms": FIRST_MS, "unit": UNIT}, f"end_ms >= {FIRST_MS} AND {OF_UNIT.format(UNIT)}"),
    ({"until_ms": FIRST_MS, "unit": "-"}, f"start_ms < {FIRST_MS} AND {OF_NO_UNIT}"),
]


@pytest.mark.parametrize(
    ("wanted", "condition", "order"),
    [*((*one, "object_id DESC") for one in PLAIN), *((*one, "start_ms DESC, object_id DESC") for one in TIMED)],
)
def test_a_list_has_what_the_bare_condition_has_in_its_order(full, wanted, condition, order):
    expected = bare(full, t.clip.c.object_id, condition, order)

    assert pages(lambda after: Queries(full).clips(ClipFilter(**wanted), after, 13)) == expected
    assert [row.object_id for row in Queries(full).every_clip(ClipFilter(**wanted))] == expected


@pytest.mark.parametrize("timed", [{}, {"from_ms": 0}])
def test_clips_of_a_unit_with_one_officer_are_on_as_many_pages_as_they_need(full, timed):
    expected = bare(full, t.clip.c.object_id, OF_UNIT.format(RARE_UNIT), "object_id DESC")

    assert len(expected) == 2
    assert pages(lambda after: Queries(full).clips(ClipFilter(unit=RARE_UNIT, **timed), after, 1)) == expected


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        ({}, "1 = 1"),
        ({"unit": UNIT}, OF_CASES.format(UNIT)),
        ({"unit": "-"}, "case_number NOT IN (SELECT number FROM case_file WHERE unit <> '')"),
        ({"officer": OFFICER}, OF_OFFICER.format(OFFICER)),
        ({"unit": UNIT, "from_ms": FIRST_MS + HOUR}, f"start_ms >= {FIRST_MS + HOUR} AND {OF_CASES.format(UNIT)}"),
    ],
)
def test_acts_are_listed_as_the_bare_condition_has_them(full, wanted, condition):
    expected = bare(full, t.action.c.action_id, condition, "start_ms DESC, action_id DESC")

    def page(after):
        found = Queries(full).actions(ActionFilter(**wanted), after, 4)
        return Page(tuple(row.action for row in found.rows), found.next)

    assert pages(page, "action_id") == expected


def test_flags_and_files_of_one_moment_are_neither_left_out_nor_listed_twice(full):
    flags = bare(full, t.flag.c.flag_id, "1 = 1", "changed_ms DESC, flag_id DESC")
    files = bare(full, t.seen_file.c.file_id, "state = 'copied'", "seen_ms DESC, file_id DESC")

    assert pages(lambda after: Queries(full).flags("", after=after, limit=3), "flag_id") == flags
    assert [flag.flag_id for flag in Queries(full).every_flag("", "")] == flags
    assert pages(lambda after: Queries(full).files("copied", after, 3), "file_id") == files


def test_the_summary_counts_what_the_bare_conditions_count(full):
    counts = Queries(full).summary().clips
    for name, condition in (
        ("indexed", "status = 'indexed'"),
        ("quarantined", "status = 'quarantined'"),
        ("verified", "verdict = 'verified'"),
        ("linked", f"{MEDIA} AND links > 0"),
        ("unlinked", f"{MEDIA} AND links = 0"),
    ):
        assert getattr(counts, name) == len(bare(full, t.clip.c.object_id, condition, "object_id")) > 0


def test_a_list_read_to_its_end_shows_one_moment_and_holds_few_rows(full):
    expected = bare(full, t.clip.c.object_id, "1 = 1", "object_id DESC")
    reading = Queries(full).every_clip(ClipFilter())

    first = next(reading)
    with full.begin() as db:
        db.execute(text("DELETE FROM clip WHERE object_id < :last"), {"last": expected[1200]})

    assert [first.object_id, *(row.object_id for row in reading)] == expected


def bare(engine, key, condition, order):
    """Keys of what meets a condition that no index of ours was made for."""
    with engine.connect() as db:
        return list(db.scalars(select(key).where(text(condition)).order_by(text(order))))


def pages(page, key="object_id"):
    """Keys of a list, page by page."""
    found, after = [], None
    while True:
        one = page(after)
        found += [getattr(row, key) for row in one.rows]
        after = one.next
        if after is None:
            return found
