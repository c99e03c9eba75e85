"""Cards of every family as they were found: what they are taken for, and what their names claim."""

from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from station_agent.model import Card, SourceFile
from station_agent.recorders import FAMILIES, Claims, claims, family_of
from station_agent.recorders.family import Entry

AXIS: Final = "0f0e0d0c-0b0a-4998-8776-655443322110_B8A44F000001_20240131T123456Z"


@dataclass(frozen=True)
class Tree:
    """A card as its family writes it."""

    family: str
    paths: tuple[str, ...]
    label: str = ""


TREES: Final = [
    Tree("dsj", ("DCIM/20240131/1234567_123456_20240131123456.mp4", "DCIM/20240131/1234567_123456_20240131124456.MOV")),
    Tree("dsj", ("LOG/20240131.TXT", "VIDEO/0000000_000000_20240131123456.mp4", "PIC/99999_A00001_20240131123456.jpg")),
    Tree("cammpro", ("info.zip", "FILE/100RECOR/1234567_12345620220318123456_0001.MP4")),
    Tree("cammpro", ("DCIM/100RECORD/12345_12345620220318123456_0001.MP4",)),
    Tree("ambarella", ("DCIM/240131AA/OFFICER_000020240131123456_0001.MP4",)),
    Tree("ambarella", ("DCIM/220318/12345_12345620220318123456_0001.MP4",)),
    Tree("eylog", ("config.json", "DCIM/100MEDIA/MOVI0001.mp4", "DCIM/100MEDIA/MOVI0002.mp4")),
    Tree("boblov", ("FILE/100china/0001.MP4", "FILE/100china/0002.JPG", "LOG/20240131.txt")),
    Tree("tecsar", ("files/data/0001.avi", "files/data/2024/0002.avi"), "CAM01"),
    Tree("motorola", ("Officer_202511292256_311-0.mp4", "Officer_202511292256_311-0.json")),
    Tree("motorola", ("export/Officer_202511292312_BWL0000001-0.mp4",)),
    Tree("axon", ("AXON_Body_2_Video_2024-11-29_2256_001.mp4",)),
    Tree("axis", (f"{AXIS}/20240131_123456_ab12.mkv", f"{AXIS}/20240131_123456_ab12.key", f"{AXIS}/bookmark_1_2")),
    Tree("transcend", ("DPB30/2024_0131_123456.MP4", "DPB30/2024_0131_123956_01.MP4")),
    Tree("transcend", ("DP550/VIDEO/2024_0131_123456.MP4",)),
    Tree("panasonic", ("DATA/20240131/102339.avi", "DATA/LOCAL/20240131/102339L1.avi", "WIDKEY/WOFFICER.TXT")),
    Tree("blackvue", ("BlackVue/Record/20181026_135003_PF.mp4", "BlackVue/Record/20181026_135003_PF.gps")),
    Tree("blackvue", ("Record/19700101_000000_NF.mp4", "Record/19700101_000000_N.3gf")),
    Tree("viofo", ("DCIM/Movie/2026_0501_162928_000538F.MP4", "DCIM/Movie/Parking/2026_0501_194819_001136PI.MP4")),
    Tree("viofo", ("DCIM/Movie/RO/20210822_133932_00954F.MP4", "DCIM/.diskdb", "format.txt")),
    Tree("gopro", ("MISC/version.txt", "DCIM/100GOPRO/GH010001.MP4", "DCIM/100GOPRO/GL010001.LRV")),
    Tree("gopro", ("DCIM/101GOPRO/GXAB9555.MP4", "DCIM/101GOPRO/GOPR0001.JPG")),
    Tree("sony", ("PRIVATE/M4ROOT/CLIP/C0001.MP4", "PRIVATE/M4ROOT/CLIP/C0001M01.XML", "PRIVATE/AVCHD/BDMV/INDEX.BDM")),
    Tree("sony", ("PRIVATE/AVCHD/BDMV/STREAM/00000.MTS", "DCIM/100MSDCF/DSC00001.JPG")),
    Tree("audio", ("Scene_1_2AG-T001.TAKE/Scene_1_2AG-T001_Tr1_D.WAV", "F8.hprj")),
    Tree("audio", ("A101_1.WAV", "A101_1_1.WAV")),
    Tree("audio", ("DSS_FLDA/DICT0822.DS2",)),
    Tree("audio", ("RECORD/240131_001.mp3",)),
    Tree("dcf", ("DCIM/100CANON/IMG_0001.JPG", "DCIM/CANONMSC/M0100.CTG")),
    Tree("dcf", ("DCIM/100CANON/IMG_0001.JPG", "MUSIC/one.mp3", "MUSIC/two.mp3")),
    Tree("dcf", ("DCIM/100MEDIA/DJI_0001.MP4",)),
    Tree("generic", ("DCIM/MOV_0001.MP4", "video.avi")),
    Tree("generic", ("files/data/0001.avi",), "KINGSTON"),
    Tree("generic", ("2024_0131_123456.MP4",)),
    Tree("generic", ()),
]


def files(*paths: str | bytes) -> list[SourceFile]:
    return [SourceFile(path.encode() if isinstance(path, str) else path, 1, 0) for path in paths]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: f"{tree.family}-{tree.paths[:1]}")
def test_a_card_is_taken_for_what_it_is_however_it_is_written(tree):
    assert family_of(files(*tree.paths), tree.label) == tree.family
    assert family_of(files(*(path.upper() for path in tree.paths)), tree.label.lower()) == tree.family


def test_every_family_has_a_card_here():
    assert {family.id for family in FAMILIES} == {tree.family for tree in TREES} - {"generic"}
    assert len({family.id for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("path", "label", "device", "officer", "start"),
    [
        ("FILE/100RECOR/1234567_12345620220318123456_0001.MP4", "", "1234567", "123456", "20220318123456"),
        ("FILE/100RECOR/0000000_00000020220318123456_0001.MP4", "", "", "", "20220318123456"),
        ("FILE/100RECOR/1234567_12345620220230123456_0001.MP4", "", "", "", ""),
        ("DCIM/240131AA/OFFICER_000020240131123456_0001.MP4", "", "", "OFFICER", "20240131123456"),
        ("DCIM/240131AA/2ND_02002_1220240131123456.MP4", "", "", "2ND_02002_12", "20240131123456"),
        ("DCIM/240131AA/000000_0000020240131123456.MP4", "", "", "", "20240131123456"),
        ("DCIM/249931AA/OFFICER_000020240131123456_0001.MP4", "", "", "", ""),
        ("OFFICER_000020240131123456_0001.MP4", "", "", "", ""),
        ("files/data/0001.avi", "CAM01", "CAM01", "", ""),
        ("files/data/0001.avi", "CAM1", "", "", ""),
        ("files/data/0001.avi", "CAM٠١", "", "", ""),
        ("other/0001.avi", "CAM01", "", "", ""),
        ("Officer_202511292256_311-0.mp4", "", "311", "Officer", "202511292256"),
        ("Officer_202511292312_BWL0000001-0.mp4", "", "BWL0000001", "Officer", "202511292312"),
        ("Officer_202511292412_BWL0000001-0.mp4", "", "", "", ""),
        ("AXON_Body_2_Video_2024-11-29_2256_001.mp4", "", "", "", "202411292256"),
        ("AXON_Body_2_Video_2024-11-31_2256.mp4", "", "", "", ""),
        (f"{AXIS}/20240131_123456_ab12.mkv", "", "B8A44F000001", AXIS[:36], "20240131123456Z"),
        (f"{AXIS}/20240131_123456_ab12_B8_gpstrail.json", "", "B8A44F000001", AXIS[:36], ""),
        (f"{AXIS.replace('0131T', '0132T')}/20240131_123456_ab12.mkv", "", "", "", ""),
        ("DPB30/2024_0131_123456_01.MP4", "", "", "", "20240131123456"),
        ("DPB30/2024_0231_123456_01.MP4", "", "", "", ""),
        ("DATA/20240131/102339.avi", "", "", "", "20240131102339Z"),
        ("DATA/LOCAL/20240131/102339L1.avi", "", "", "", "20240131102339"),
        ("DATA/20240131/252339.avi", "", "", "", ""),
        ("Record/20181026_135003_PF.mp4", "", "", "", "20181026135003"),
        ("Record/19700101_000000_NF.mp4", "", "", "", "19700101000000"),
        ("Record/20181026_135003_P.mp4", "", "", "", ""),
        ("Record/20181032_135003_PF.mp4", "", "", "", ""),
        ("20181026_135003_PF.mp4", "", "", "", ""),
        ("DCIM/Movie/2026_0501_162928_000538F.MP4", "", "", "", "20260501162928"),
        ("DCIM/Movie/Parking/2026_0501_194819_001136PI.MP4", "", "", "", "20260501194819"),
        ("DCIM/Movie/20210822_133932_00954F.MP4", "", "", "", "20210822133932"),
        ("DCIM/Movie/2026_0532_162928_000538F.MP4", "", "", "", ""),
        ("DCIM/100GOPRO/GH010001.MP4", "", "", "", ""),
    ],
)
def test_what_the_names_of_a_family_claim(path, label, device, officer, start):
    found = claims(path.encode(), Card(label=label))
    assert (found.device, found.officer, found.start_raw) == (device, officer, start)


def test_where_two_patterns_fit_the_folder_decides():
    """Five characters, six and a time are a CammPro name and an Ambarella name alike."""
    name = "12345_12345620220318123456_0001.MP4"
    camm, amba = (claims(f"{folder}/{name}".encode()) for folder in ("DCIM/100RECORD", "DCIM/220318"))
    assert (camm.family, camm.device, camm.officer) == ("cammpro", "12345", "123456")
    assert (amba.family, amba.device, amba.officer) == ("ambarella", "", "12345_123456")
    assert camm.start_raw == amba.start_raw


def test_seven_characters_of_cammpro_are_no_date_of_ambarella():
    found = claims(b"DCIM/220318/1234567_12345620220318123456_0001.MP4")
    assert (found.family, found.start_raw) == ("cammpro", "20220318123456")


def test_most_files_decide_and_a_stray_one_is_still_read():
    stray = "DCIM/100GOPRO/1234567_123456_20240131123456.mp4"
    card = files(stray, "DCIM/100GOPRO/GH010001.MP4", "DCIM/100GOPRO/GH020001.MP4")
    assert family_of(card) == "gopro"
    assert claims(stray.encode(), Card("gopro")).device == "1234567"


def test_a_file_that_claims_nothing_has_the_family_of_its_card():
    assert claims(b"MISC/version.txt", Card("gopro")) == Claims(family="gopro")
    assert claims(b"MISC/version.txt", Card("dropfolder")) == Claims()


def test_a_clip_of_an_unknown_name_on_a_known_card_is_not_read_as_another_familys():
    path = b"DCIM/100MEDIA/MOVI0001.MP4"
    assert claims(path, Card("eylog")).recording == b""
    assert claims(path).family == "dcf"


HOSTILE: Final = [
    b"",
    b"/",
    b".",
    b"a\nb.mp4",
    b"DCIM/100GOPRO/GH010001.MP4\n",
    b"DCIM\n/100GOPRO/GH010001.MP4",
    b"\xff\xfe\x80.mp4",
    b"DCIM/240131\xff/OFFICER_000020240131123456_\xff.MP4",
    b"Officer_202511292256_311-" + b"9" * 5000 + b".mp4",
    b"1234567_123456_20240131123456_" + b"9" * 5000 + b".mp4",
    b"DCIM/240131/OFFICER_000000000000000000.MP4",
    "DCIM/100MEDIA/现场\N{FULLWIDTH DIGIT ONE}.MP4".encode(),
]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_names_are_read_like_any_other(path):
    for card in (Card(), *(Card(family.id, "CAM01") for family in FAMILIES)):
        found = claims(path, card)
        assert f"{found.device}{found.officer}{found.start_raw}{found.track}".isascii()
    assert family_of(files(path)) in {"generic", *(family.id for family in FAMILIES)}


def test_a_name_with_a_line_break_behind_it_is_not_the_name():
    assert claims(b"DCIM/100GOPRO/GH010001.MP4\n").family == ""
    assert claims(b"DCIM/Movie\n/2026_0501_162928_000538F.MP4").family == ""


FOLDERS: Final = [
    b"",
    b"DCIM/100GOPRO",
    b"DCIM/Movie",
    b"DCIM/240131",
    b"Record",
    b"DPB30",
    b"DATA/20240131",
    AXIS.encode(),
]
REAL: Final = [path.rpartition("/")[2].encode() for tree in TREES for path in tree.paths]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A real name with some bytes exchanged, in some folder: near enough to reach every pattern."""
    name = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(0, 3))):
        name[draw(st.integers(0, len(name) - 1))] = draw(st.integers(0, 255))
    return draw(st.sampled_from(FOLDERS)) + b"/" + bytes(name)


@given(st.lists(st.one_of(st.binary(), spoilt()), max_size=5), st.text(max_size=5))
@example([b""], "CAM01")
def test_no_card_breaks_the_reader(paths, label):
    family = family_of(files(*paths), label)
    assert family == "generic" or any(row.id == family for row in FAMILIES)
    assert all(isinstance(claims(path, Card(family, label)), Claims) for path in paths)


@given(spoilt())
def test_what_is_read_can_be_recorded(path):
    for family in FAMILIES:
        found = family.claims(Entry.of(path))
        if found is not None:
            assert found.part >= 0
            assert len(found.start_raw) in {0, 12, 14, 15}
