"""Which files of a card are one recording: chapters, splits, cameras and side files, and what is never joined."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.model import Card, SourceFile
from station_agent.recorders import Claims, Place, family_of, grouping, recordings
from station_agent.recorders.grouping import FULL_BYTES

ZONE: Final = ZoneInfo("Asia/Shanghai")
NOON: Final = datetime(2024, 1, 31, 12, tzinfo=ZONE)
DSJ: Final = "1234567_123456_"


FOLLOWING: Final = [
    SourceFile(b"20240131120000", 1, int(NOON.timestamp() + 300) * 10**9),
    SourceFile(b"20240131120500", 1, int(NOON.timestamp() + 600) * 10**9),
]


def file(path: str | bytes, closed: datetime = NOON, size: int = 1_000) -> SourceFile:
    name = path.encode() if isinstance(path, str) else path
    return SourceFile(name, size, int(closed.timestamp() * 1000) * 1_000_000)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y%m%d%H%M%S")


def placed(*files: SourceFile, label: str = "") -> dict[str, Place]:
    found = recordings(files, Card(family_of(files, label), label), ZONE)
    assert found.keys() == {one.path for one in files}
    return {path.decode(): place for path, place in found.items()}


def together(*files: SourceFile) -> list[list[tuple[str, int]]]:
    """Recordings as lists of (name, part), in the order of their first name."""
    groups: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for path, place in sorted(placed(*files).items()):
        groups[place.key].append((path.rpartition("/")[2], place.part))
    return sorted(groups.values())


def test_chapters_of_one_number_are_one_recording():
    names = ["GH010001.MP4", "GH020001.MP4", "GH010001.THM", "GL020001.LRV", "GX010002.MP4", "GOPR0001.JPG"]
    found = placed(*(file(f"DCIM/100GOPRO/{name}") for name in names))
    first, second, thumb, proxy, other, photo = (found[f"DCIM/100GOPRO/{name}"] for name in names)
    assert first.key == second.key == thumb.key == proxy.key
    assert len({first.key, other.key, photo.key}) == 3
    assert [(p.part, p.parts, p.role) for p in (first, second, thumb, proxy)] == [
        (1, 2, "clip"),
        (2, 2, "clip"),
        (1, 2, "side"),
        (2, 2, "side"),
    ]


def test_older_chapters_begin_with_gopr():
    assert together(*(file(f"DCIM/100GOPRO/{n}") for n in ("GP010007.MP4", "GOPR0007.MP4", "GP020007.MP4"))) == [
        [("GOPR0007.MP4", 1), ("GP010007.MP4", 2), ("GP020007.MP4", 3)]
    ]


def test_a_missing_chapter_leaves_a_hole():
    found = placed(file("DCIM/100GOPRO/GX010001.MP4"), file("DCIM/100GOPRO/GX030001.MP4"))
    assert [(place.part, place.parts) for place in found.values()] == [(1, 3), (3, 3)]


def test_one_number_in_two_folders_is_two_recordings_and_so_are_loops():
    assert len(together(file("DCIM/100GOPRO/GX010001.MP4"), file("DCIM/101GOPRO/GX020001.MP4"))) == 2
    assert len(together(file("DCIM/100GOPRO/GXAA0001.MP4"), file("DCIM/100GOPRO/GXAB0001.MP4"))) == 2


def test_clips_that_begin_where_the_last_one_ended_are_one_recording():
    files = [file(f"DCIM/{DSJ}{stamp(300 * n)}.mp4", at(300 * n + 300)) for n in range(12)]
    [parts] = together(*files)
    assert [part for _, part in parts] == list(range(1, 13))


@pytest.mark.parametrize(("gap_s", "recordings_found"), [(-3, 1), (0, 1), (3, 1), (4, 2), (-4, 2), (60, 2)])
def test_a_gap_beyond_what_names_and_fat_can_tell_ends_a_recording(gap_s, recordings_found):
    first = file(f"{DSJ}{stamp(0)}.mp4", at(300))
    second = file(f"{DSJ}{stamp(300 + gap_s)}.mp4", at(900))
    assert len(together(first, second)) == recordings_found


def test_the_clock_is_read_in_the_recorders_zone():
    files = [file(f"{DSJ}{stamp(300 * n)}.mp4", at(300 * n + 300)) for n in range(2)]
    keys = {place.key for place in recordings(files, Card("dsj"), ZoneInfo("UTC")).values()}
    assert len(keys) == 2


def test_another_officer_is_another_recording():
    assert len(together(file(f"{DSJ}{stamp(0)}.mp4", at(300)), file(f"1234567_654321_{stamp(300)}.mp4", at(600)))) == 2


def test_copied_cards_have_no_times_and_nothing_is_joined_by_them():
    assert len(together(*(file(f"{DSJ}{stamp(300 * n)}.mp4", at(99_999)) for n in range(5)))) == 5


def test_pieces_with_one_time_are_numbered_by_their_counter():
    names = [f"{DSJ}{stamp(0)}_{n:04}.mp4" for n in (7, 8, 9)]
    assert together(*map(file, names)) == [[(name, part) for part, name in enumerate(names, 1)]]


def test_parts_are_counted_on_across_pieces_and_clips():
    names = [f"{DSJ}{stamp(0)}_0001.mp4", f"{DSJ}{stamp(0)}_0002.mp4", f"{DSJ}{stamp(600)}_0001.mp4"]
    ends = [at(300), at(600), at(700)]
    assert [part for _, part in together(*map(file, names, ends))[0]] == [1, 2, 3]


def test_a_name_that_tells_minutes_only_is_joined_to_nothing_by_its_time():
    claims = {file.path: Claims(start_raw=file.path.decode(), series=b"x") for file in FOLLOWING}
    minutes = {path: replace(claim, start_raw=claim.start_raw[:12]) for path, claim in claims.items()}
    seconds, coarse = (grouping.recordings(FOLLOWING, told.__getitem__, ZONE) for told in (claims, minutes))
    assert [len({place.key for place in found.values()}) for found in (seconds, coarse)] == [1, 2]


def test_two_families_on_one_card_have_nothing_in_common():
    """Both name a recording by its time alone."""
    files = [file("DPB30/2024_0131_120000.MP4", at(60)), file("Record/20240131_120000_NF.mp4", at(60))]
    later = [file("DPB30/2024_0131_120100.MP4", at(120)), file("Record/20240131_120100_NF.mp4", at(120))]
    assert [len(parts) for parts in together(*files, *later)] == [2, 2]
    front = file("DCIM/Movie/2024_0131_120000_000001F.MP4", at(60))
    assert len(together(front, file("Record/20240131_120100_NF.mp4", at(120)))) == 2


def test_a_photo_or_a_memo_in_the_middle_does_not_part_two_films():
    films = [file(f"{DSJ}{stamp(0)}.mp4", at(300)), file(f"{DSJ}{stamp(300)}.mp4", at(600))]
    others = [file(f"{DSJ}{stamp(100)}.jpg", at(100)), file(f"{DSJ}{stamp(100)}.wav", at(200))]
    assert sorted(len(parts) for parts in together(*films, *others)) == [1, 1, 2]


def test_the_order_in_which_a_folder_is_read_changes_nothing():
    names = ["GP020001.MP4", "GH010001.LRV", "GH020001.LRV", "GH010001.MP4", "GH020001.MP4"]
    files = [file(f"DCIM/100GOPRO/{name}") for name in names]
    assert placed(*files) == placed(*reversed(files))


def test_telemetry_belongs_to_the_film_and_not_to_its_picture():
    found = placed(*(file(f"{DSJ}{stamp(0)}.{extension}") for extension in ("jpg", "mp4", "gps")))
    assert found[f"{DSJ}{stamp(0)}.gps"].key == found[f"{DSJ}{stamp(0)}.mp4"].key != found[f"{DSJ}{stamp(0)}.jpg"].key


def test_a_photo_of_the_same_second_is_no_part_of_the_film():
    assert len(together(file(f"{DSJ}{stamp(0)}.mp4"), file(f"{DSJ}{stamp(0)}.jpg"))) == 2


def test_a_full_file_goes_on_in_the_next_number():
    clips = [
        file("DCIM/100CANON/MVI_0001.MOV", at(0), FULL_BYTES),
        file("DCIM/100CANON/MVI_0002.MOV", at(60), 1_000),
        file("DCIM/100CANON/MVI_0003.MOV", at(90), 1_000),
    ]
    assert together(*clips) == [[("MVI_0001.MOV", 1), ("MVI_0002.MOV", 2)], [("MVI_0003.MOV", 1)]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (file("DCIM/100CANON/MVI_0001.MOV", at(0), FULL_BYTES - 1), file("DCIM/100CANON/MVI_0002.MOV", at(1))),
        (file("DCIM/100CANON/MVI_0001.MOV", at(0), FULL_BYTES), file("DCIM/100CANON/MVI_0003.MOV", at(1))),
        (file("DCIM/100CANON/MVI_0001.MOV", at(2), FULL_BYTES), file("DCIM/100CANON/MVI_0002.MOV", at(1))),
        (file("DCIM/100CANON/MVI_0001.MOV", at(0), FULL_BYTES), file("DCIM/100CANON/IMG_0002.MOV", at(1))),
        (file("DCIM/100CANON/MVI_0001.CR2", at(0), FULL_BYTES), file("DCIM/100CANON/MVI_0002.JPG", at(1))),
    ],
)
def test_what_does_not_go_on(first, second):
    assert len(together(first, second)) == 2


def test_avchd_splits_by_number():
    names = ["PRIVATE/AVCHD/BDMV/STREAM/00000.MTS", "PRIVATE/AVCHD/BDMV/STREAM/00001.MTS"]
    [parts] = together(file(names[0], at(0), FULL_BYTES), file(names[1], at(9)))
    assert parts == [("00000.MTS", 1), ("00001.MTS", 2)]


def test_cameras_of_one_moment_are_one_part():
    """Front and rear: joined by their time, told apart by their track; minutes follow each other."""
    names = ["2026_0501_162928_000538F.MP4", "2026_0501_162928_000539R.MP4", "2026_0501_163028_000540F.MP4"]
    start = datetime(2026, 5, 1, 16, 29, 28, tzinfo=ZONE)
    ends = [start + timedelta(minutes=1), start + timedelta(minutes=1), start + timedelta(minutes=2)]
    found = list(placed(*(file(f"DCIM/Movie/{name}", end) for name, end in zip(names, ends, strict=True))).values())
    assert len({place.key for place in found}) == 1
    assert sorted((place.part, place.track) for place in found) == [(1, "F"), (1, "R"), (2, "F")]


def test_a_locked_clip_goes_on_from_its_neighbour_and_parking_does_not():
    start = datetime(2026, 5, 1, 16, 29, 28, tzinfo=ZONE)
    minute = timedelta(minutes=1)
    clips = [
        file("DCIM/Movie/2026_0501_162928_000538F.MP4", start + minute),
        file("DCIM/Movie/RO/2026_0501_163028_000539F.MP4", start + 2 * minute),
        file("DCIM/Movie/Parking/2026_0501_163128_000540PF.MP4", start + 3 * minute),
    ]
    assert [len(parts) for parts in together(*clips)] == [2, 1]


@pytest.mark.parametrize(
    ("clip", "sides"),
    [
        ("Record/20181026_135003_PF.mp4", ["Record/20181026_135003_PF.gps", "Record/20181026_135003_P.3gf"]),
        ("Officer_202511292256_311-0.mp4", ["Officer_202511292256_311-0.json", "Officer_202511292256_311-0.vtt"]),
        (
            "PRIVATE/M4ROOT/CLIP/C0001.MP4",
            ["PRIVATE/M4ROOT/CLIP/C0001M01.XML", "PRIVATE/M4ROOT/THMBNL/C0001T01.JPG"],
        ),
        ("PRIVATE/AVCHD/BDMV/STREAM/00000.MTS", ["PRIVATE/AVCHD/BDMV/CLIPINF/00000.CPI"]),
        ("DCIM/100CANON/IMG_0001.JPG", ["DCIM/100CANON/IMG_0001.WAV", "DCIM/100CANON/IMG_0001.THM"]),
        ("DCIM/100MEDIA/DJI_0001.MP4", ["DCIM/100MEDIA/DJI_0001.SRT"]),
        (f"{DSJ}{stamp(0)}.mp4", [f"{DSJ}{stamp(0)}.GPS", f"{DSJ}{stamp(0)}.mp4.json"]),
        ("any/thing.mkv", ["any/THING.gpx", "any/thing.mkv.key"]),
    ],
)
def test_side_files_travel_with_their_clip(clip, sides):
    found = placed(file(clip), *map(file, sides))
    assert {place.key for place in found.values()} == {found[clip].key}
    assert [found[side].role for side in sides] == ["side"] * len(sides)
    assert found[clip].role == "clip"


def test_side_files_of_a_later_part_have_its_number():
    names = [f"{DSJ}{stamp(0)}", f"{DSJ}{stamp(300)}"]
    found = placed(file(f"{names[0]}.mp4", at(300)), file(f"{names[1]}.mp4", at(600)), file(f"{names[1]}.srt", at(600)))
    assert found[f"{names[1]}.srt"].part == found[f"{names[1]}.mp4"].part == 2


def test_side_files_without_a_clip_stay_together_and_a_lone_memo_is_a_recording():
    camera = ["DCIM/100CANON/SND_0001.WAV", "DCIM/100CANON/IMG_0002.JPG"]
    found = placed(file("a/x.gps"), file("a/x.3gf"), file("a/y.gps"), *map(file, camera))
    assert found["a/x.gps"].key == found["a/x.3gf"].key != found["a/y.gps"].key
    assert {place.role for path, place in found.items() if path.startswith("a/")} == {"side"}
    assert found["DCIM/100CANON/SND_0001.WAV"].role == "clip"


def test_microphones_of_one_take_are_one_part():
    folder = "Scene_1_2AG-T001.TAKE/Scene_1_2AG-T001_Tr"
    found = placed(*(file(f"{folder}{track}.WAV") for track in ("1", "1_D", "2", "L_R")))
    assert len({place.key for place in found.values()}) == 1
    assert {(place.part, place.track) for place in found.values()} == {(1, "1"), (1, "1_D"), (1, "2"), (1, "L_R")}
    assert [len(parts) for parts in together(file("A101_1.WAV"), file("A101_1_1.WAV"), file("A101_2.WAV"))] == [2, 1]


def test_segments_of_an_export_and_clips_of_a_container():
    names = ["Officer_202511292256_311-0.mp4", "Officer_202511292256_311-1.mp4"]
    assert together(*map(file, names)) == [[(names[0], 1), (names[1], 2)]]
    folder = "0f0e0d0c-0b0a-4998-8776-655443322110_B8A44F000001_20240131T123456Z"
    clips = ["20240131_123456_ab12.mkv", "20240131_124456_cd34.mkv"]
    found = placed(*(file(f"{folder}/{name}") for name in [*clips, "bookmark_20240131_1"]))
    assert len({place.key for place in found.values()}) == 1
    assert [found[f"{folder}/{name}"].part for name in clips] == [1, 2]
    assert found[f"{folder}/bookmark_20240131_1"].role == "side"


def test_files_that_say_nothing_stand_alone():
    assert len(together(file("FILE/100china/0001.MP4"), file("FILE/100china/0002.MP4"), file("LOG/20240131.txt"))) == 3


def test_the_key_stays_when_more_is_recorded_and_changes_when_a_number_comes_again():
    one = file("DCIM/100GOPRO/GH010001.MP4")
    two = file("DCIM/100GOPRO/GH020001.MP4")
    again = file("DCIM/100GOPRO/GH010001.MP4", at(86_400))
    path = one.path.decode()
    longer = file("DCIM/100GOPRO/GH010001.MP4", size=2_000)
    assert placed(one)[path].key != placed(longer)[path].key
    assert placed(one)[path].key == placed(two, one)[path].key != placed(again)[path].key


def test_what_stands_in_a_record():
    [place] = placed(file("Record/20240131_120000_NF.mp4")).values()
    assert place.block() == {"key": place.key, "part": 1, "parts": 1, "role": "clip", "track": "F"}
    [alone] = placed(file("a.mp4")).values()
    assert alone.block().keys() == {"key", "part", "parts", "role"}
    assert len(alone.key) == 32


NAMES: Final = st.sampled_from(
    [
        *(f"DCIM/100GOPRO/G{c}{n:02}0001.{e}".encode() for c in "HLP" for n in (1, 2) for e in ("MP4", "LRV")),
        *(f"{DSJ}{stamp(300 * n)}{tail}".encode() for n in range(4) for tail in (".mp4", "_0001.mp4", ".gps", ".jpg")),
        *(f"DCIM/Movie/2026_0501_16{m}28_00053{m % 10}{c}.MP4".encode() for m in (28, 29) for c in ("F", "R", "PF")),
        *(f"PRIVATE/M4ROOT/{n}".encode() for n in ("CLIP/C0001.MP4", "CLIP/C0001M01.XML", "THMBNL/C0001T01.JPG")),
    ]
)
FILES: Final = st.builds(
    SourceFile,
    st.one_of(NAMES, st.binary(min_size=1, max_size=12)),
    st.sampled_from([0, 1, FULL_BYTES, 2**53 - 1]),
    st.one_of(st.integers(-(2**62), 2**62), st.integers(0, 8).map(lambda n: int(at(150 * n).timestamp()) * 10**9)),
)


@given(
    st.lists(FILES, max_size=12, unique_by=lambda one: one.path),
    st.sampled_from(["", "generic", "dsj", "gopro", "viofo", "sony", "dcf", "dropfolder"]),
    st.randoms(),
)
def test_every_file_is_in_exactly_one_recording_whatever_the_order(files, family, random):
    found = recordings(files, Card(family), ZONE)
    assert found.keys() == {one.path for one in files}
    assert all(1 <= place.part <= place.parts for place in found.values())
    parts = {(place.key, place.parts) for place in found.values()}
    assert len({key for key, _ in parts}) == len(parts)
    shuffled = list(files)
    random.shuffle(shuffled)
    assert recordings(shuffled, Card(family), ZONE) == found


def test_times_beyond_every_calendar_are_no_obstacle():
    far = SourceFile(f"{DSJ}99991231235959.mp4".encode(), 1, 2**62)
    early = SourceFile(f"{DSJ}00010101000000.mp4".encode(), 1, -(2**62))
    assert len(recordings([far, early], Card("dsj"), ZONE)) == 2
