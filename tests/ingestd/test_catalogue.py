from pathlib import Path

import pytest

from ingestd.catalogue import load, parse
from ingestd.errors import ConfigError
from ingestd.model import Level

SHIPPED = Path(__file__).parents[2] / "config" / "catalogue.toml"
ONE = """
version = "1"
[[types]]
id = "seizure"
zh = "查封扣押"
en = "Seizure"
also = ["查封"]
level = "full"
article = "运政办〔2019〕3号 一（二）2"
"""
CHECKPOINT = '[[checkpoints]]\nid = "seen"\nzh = "见"\nen = "Seen"\narticle = "x"\n'


def test_the_shipped_catalogue_has_what_the_citys_plan_names():
    catalogue = load(SHIPPED)
    levels = {t.name.zh: t.level for t in catalogue.types.values()}
    for full in ("查封扣押", "强制拆除", "执法办案场所"):
        assert levels[full] is Level.FULL
    for specified in ("现场检查", "调查取证", "举行听证", "留置送达", "公告送达"):
        assert levels[specified] is Level.SPECIFIED
    assert all("运政办〔2019〕3号 一（二）2" in t.article for t in catalogue.types.values())


def test_the_compulsion_law_stands_beside_the_plan_for_seizure_and_demolition():
    catalogue = load(SHIPPED)
    assert "行政强制法 第十八条、第二十四条" in catalogue.types["seizure"].article
    assert "第四十四条" in catalogue.types["demolition"].article


@pytest.mark.parametrize("called", ["seizure", "查封扣押", "查封", " 查封 ", "Seizure", "SEIZURE"])
def test_a_type_is_known_by_any_of_its_names(called):
    found = parse(ONE.encode(), "c").named(called)
    assert found is not None
    assert found.type_id == "seizure"


@pytest.mark.parametrize("called", ["", "查", "seizures"])
def test_nothing_is_guessed(called):
    assert parse(ONE.encode(), "c").named(called) is None


def test_defaults_are_the_laws_and_each_type_may_have_its_own():
    plain = parse(ONE.encode(), "c").types["seizure"]
    assert (plain.tolerated_gap_ms, plain.margin_ms, plain.radius_m) == (1000, 30 * 60_000, 500)
    own = parse((ONE + "tolerated_gap_ms = 0\nmargin_min = 5\nradius_m = 50\n").encode(), "c").types["seizure"]
    assert (own.tolerated_gap_ms, own.margin_ms, own.radius_m) == (0, 5 * 60_000, 50)
    agency = parse((ONE + "[defaults]\nmargin_min = 10\n").encode(), "c").types["seizure"]
    assert agency.margin_ms == 10 * 60_000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ONE.replace('"full"', '"everything"'), "types[0].level: Input should be 'full', 'specified' or 'text'"),
        (ONE + "levle = 1", "types[0].levle: Extra inputs are not permitted"),
        (ONE.replace('zh = "查封扣押"', ""), "types[0].zh: Field required"),
        (ONE + "tolerated_gap_ms = -1", "types[0].tolerated_gap_ms: Input should be greater than or equal to 0"),
        ('version = "1"\ntypes = []', "types: Tuple should have at least 1 item"),
        (ONE.replace('"seizure"', '"Seizure!"'), "types[0].id: String should match pattern"),
        ("version = ", "not a TOML file in UTF-8"),
        (ONE + "retention = 182", "types[0].retention: days from 183 to 36525, or 'case-file', or 'permanent'"),
        (ONE + 'retention = "forever"', "types[0].retention: days from 183"),
        (ONE + "retention = true", "types[0].retention: days from 183"),
        (ONE + 'checkpoints = ["seen"]', "types[0].checkpoints: 'seen' is no checkpoint; known: "),
        (ONE + 2 * CHECKPOINT, "checkpoints[1]: 'seen' is there twice"),
        ("valid_from = 1" + ONE, "valid_from: "),
        (ONE + ONE.replace('version = "1"', "").replace('"seizure"', '"other"'), "types[1]: the name"),
    ],
)
def test_a_wrong_catalogue_names_file_key_and_what_is_allowed(text, complaint):
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "catalogue.toml")
    assert str(caught.value).startswith(f"catalogue.toml: {complaint}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_utf8_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="UTF-8"):
        parse("查封".encode("gb18030"), "c")
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml")


def test_flags_get_their_words_from_it():
    spoken = parse(ONE.encode(), "c").spoken()["seizure"]
    assert (spoken.name.zh, spoken.article) == ("查封扣押", "运政办〔2019〕3号 一（二）2")


def test_levels_are_duties():
    assert [level.duty for level in Level] == ["must", "should", "optional"]


def test_the_shipped_catalogue_says_what_is_done_and_how_long_it_is_kept():
    types = load(SHIPPED).types
    seizure = set(types["seizure"].checkpoints)
    assert {"approval", "two-officers", "id-shown", "party-told", "list-in-duplicate"} <= set(
        types["seizure"].checkpoints
    )
    assert "no-night-or-holiday" in types["demolition"].checkpoints
    assert "no-night-or-holiday" not in seizure
    assert types["demolition"].retention == "permanent"
    assert types["inspection"].retention == 183
    used = {one for action_type in types.values() for one in action_type.checkpoints}
    assert used == set(load(SHIPPED).checkpoints)


@pytest.mark.parametrize("written", ["183", "36525", '"case-file"', '"permanent"'])
def test_terms_of_retention(written):
    own = parse((ONE + f"retention = {written}\n").encode(), "c").types["seizure"]
    assert str(own.retention) == written.strip('"')
    assert (
        parse((ONE + f"[defaults]\nretention = {written}\n").encode(), "c").types["seizure"].retention == own.retention
    )
