"""The decision whose recorder it is, as a table; and the register that it asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.errors import ConfigError
from station_agent.model import Stated
from station_agent.registry import (
    CARD_DIFFERS,
    MAX_CLAIMS,
    NOTHING,
    OTHER_RECORDERS,
    SAME_SERIAL,
    SERIAL_DIFFERS,
    Handling,
    Registry,
    Source,
    Verdict,
    identified,
    is_set,
    parse,
)
from station_agent.registry_file import RegistryFile

TABLE = """记录仪编号,USB序列号,卷标识,卷标,卡内编号,执法证号,名称,单位
DSJ0731,X81000123,6A1F-0C3B,CAM01,1234567,19090114007,执法记录仪,一大队
DSJ0732,X81000124,7B2E-1D4C,,7654321,,,
DSJ0733,,9C3D-2E5F,,,,,
X81000777,,,,,,,
"""
REGISTER = parse(TABLE.encode(), "recorders.csv")


def stated(**sources: str) -> list[Stated]:
    return [Stated(Source[name.upper()], value) for name, value in sources.items()]


@pytest.mark.parametrize(
    ("sources", "verdict", "recorder", "reasons"),
    [
        (stated(serial="X81000123"), "registered", "DSJ0731", ()),
        (stated(serial=" x81000123 "), "registered", "DSJ0731", ()),
        (stated(volume_uuid="6a1f-0c3b"), "registered", "DSJ0731", ()),
        (stated(label="CAM01"), "registered", "DSJ0731", ()),
        (stated(card="1234567"), "registered", "DSJ0731", ()),
        # What a device states may be its number itself; so the centre's own list serves as a register.
        (stated(serial="X81000777"), "registered", "X81000777", ()),
        (stated(serial="DSJ0732", card="DSJ0732"), "registered", "DSJ0732", ()),
        (stated(serial="OTHER", card="DSJ0733"), "registered", "DSJ0733", ()),
        # Another card in a recorder that is known, and its name and files of others: no contradiction of the device.
        (stated(serial="X81000123", volume_uuid="FFFF-0001", label="NEW"), "registered", "DSJ0731", ()),
        # A recorder that is registered by its volume alone: whatever its serial, nobody has said another.
        (stated(serial="WHATEVER", volume_uuid="9C3D-2E5F"), "registered", "DSJ0733", ()),
        # Defaults are unknown: they neither agree nor disagree.
        (stated(serial="0000000", card="000000", label="CAM01"), "registered", "DSJ0731", ()),
        (stated(serial="X81000123", card="4294967295"), "registered", "DSJ0731", ()),
        (stated(serial="X81000123", volume_uuid="0000-0000", card=""), "registered", "DSJ0731", ()),
        (stated(serial="0000000", volume_uuid="", label="", card="4294967295"), "unregistered", "", ()),
        (stated(), "unregistered", "", ()),
        (stated(serial="STRANGER", label="USB DISK"), "unregistered", "", ()),
        # Names of files are copied with the files.
        (stated(serial="STRANGER", name="DSJ0731"), "unregistered", "", ()),
        (stated(serial="X81000123", name="1234567"), "registered", "DSJ0731", ()),
        (stated(serial="X81000123", name="7654321"), "conflict", "", (OTHER_RECORDERS,)),
        (stated(serial="X81000123", volume_uuid="7B2E-1D4C"), "conflict", "", (OTHER_RECORDERS, SERIAL_DIFFERS)),
        (stated(serial="X81000123", card="7654321"), "conflict", "", (OTHER_RECORDERS, SERIAL_DIFFERS, CARD_DIFFERS)),
        # The id on the card is nobody's, and not the one that the serial is registered with.
        (stated(serial="X81000123", card="5555555"), "conflict", "", (CARD_DIFFERS,)),
        (stated(serial="X81000123", zfy_info="5555555"), "conflict", "", (CARD_DIFFERS,)),
        (stated(serial="0000000", zfy_info="7654321"), "registered", "DSJ0732", ()),
        (stated(serial="X81000123", zfy_info="0000000"), "registered", "DSJ0731", ()),
        # Anybody can type a label, and put a known card into another recorder.
        (stated(serial="STRANGER", label="CAM01"), "conflict", "", (SERIAL_DIFFERS,)),
        (stated(serial="STRANGER", volume_uuid="6A1F-0C3B"), "conflict", "", (SERIAL_DIFFERS,)),
    ],
)
def test_the_verdict(sources, verdict, recorder, reasons):
    found = identified(REGISTER, sources)
    assert (found.verdict, found.recorder, found.reasons) == (verdict, recorder, reasons)


def test_a_registered_recorder_names_its_officer_and_each_source_its_claim():
    found = identified(REGISTER, stated(serial="X81000123", label="CAM01", name="UNKNOWN"))
    assert (found.officer, found.registry_sha256) == ("19090114007", REGISTER.sha256)
    assert [(one.source, one.recorder) for one in found.claims] == [
        ("serial", "DSJ0731"), ("volume-label", "DSJ0731"), ("file-name", ""),
    ]  # fmt: skip
    assert "handling" not in found.block(Handling.REFUSE)


def test_nobody_is_named_where_the_sources_disagree():
    found = identified(REGISTER, stated(serial="X81000123", volume_uuid="7B2E-1D4C"))
    assert (found.recorder, found.officer) == ("", "")
    assert {one.recorder for one in found.claims} == {"DSJ0731", "DSJ0732"}


@pytest.mark.parametrize(
    ("registry", "serial", "verdict"),
    [
        (REGISTER, "X81000123", Verdict.CONFLICT),
        (NOTHING, "X81000123", Verdict.CONFLICT),
        # Two strangers of one serial are strangers: no trick with two of them gets them read.
        (REGISTER, "STRANGER", Verdict.UNREGISTERED),
    ],
)
def test_two_recorders_with_one_serial(registry, serial, verdict):
    found = identified(registry, stated(serial=serial), twin_bays={7, 3})
    assert (found.verdict, found.reasons, found.twin_bays) == (verdict, (SAME_SERIAL,), (3, 7))
    assert found.block(Handling.ACCEPT)["twin_bays"] == [3, 7]


def test_without_a_register_nothing_was_checked():
    found = identified(NOTHING, stated(serial="X81000123"))
    assert (found.verdict, found.recorder) == (Verdict.UNCHECKED, "")
    assert found.claims != ()


VALUES = st.sampled_from(
    ["X81000123", "X81000124", "6A1F-0C3B", "7B2E-1D4C", "CAM01", "1234567", "7654321", "DSJ0733", "0000000", "", "?"]
)
CLAIMS = st.lists(st.builds(Stated, st.sampled_from(list(Source)), VALUES), max_size=8)


@given(CLAIMS, st.randoms())
def test_the_order_of_the_sources_makes_no_difference(claims, random):
    shuffled = [*claims, *claims[:2]]
    random.shuffle(shuffled)
    assert identified(REGISTER, shuffled) == identified(REGISTER, claims)


@given(
    CLAIMS, st.sampled_from(list(Source)), st.sampled_from(["0000000", "000000", "4294967295", "", " ", "0000-0000"])
)
def test_a_default_changes_no_verdict(claims, source, default):
    with_it, without = identified(REGISTER, [*claims, Stated(source, default)]), identified(REGISTER, claims)
    assert (with_it.verdict, with_it.recorder, with_it.reasons) == (without.verdict, without.recorder, without.reasons)


@given(CLAIMS)
def test_registered_means_that_all_who_know_a_recorder_mean_this_one(claims):
    found = identified(REGISTER, claims)
    pointed_to = {one.recorder for one in found.claims} - {""}
    assert (found.verdict is not Verdict.REGISTERED) or pointed_to == {found.recorder}
    assert (len(pointed_to) < 2) or found.verdict is not Verdict.REGISTERED


def test_claims_are_bounded_and_those_that_point_to_a_recorder_are_kept():
    found = identified(REGISTER, [Stated(Source.NAME, f"A{number}") for number in range(99)] + stated(card="7654321"))
    assert len(found.claims) == MAX_CLAIMS
    assert found.claims[0].recorder == "DSJ0732"


def test_what_counts_as_set():
    assert not any(map(is_set, ["", " ", "0", "0000000", "0000-0000", "4294967295"]))
    assert all(map(is_set, ["1", "0000001", "A000", "B8A44F000001"]))


# The file.


def test_toml_and_csv_say_the_same_and_one_recorder_may_have_several_lines():
    csv = "serial,usb_serial,volume_uuid\nA1,S1,U1\nA1,,U2\n"
    toml = (
        '[[recorders]]\nserial = "A1"\nusb_serial = "S1"\nvolume_uuid = "U1"\n'
        '[[recorders]]\nserial = "A1"\nvolume_uuid = "U2"\n'
    )
    one, two = parse(csv.encode("gb18030"), "r.csv"), parse(toml.encode(), "r.toml")
    assert one.recorders == two.recorders
    assert one.sha256 != two.sha256
    for uuid in ("U1", "U2"):
        assert identified(one, stated(serial="S1", volume_uuid=uuid)).recorder == "A1"


def test_the_list_that_the_centre_imports_is_a_register():
    listed = "﻿记录仪编号,名称,单位\r\nDSJ0731,执法记录仪 07-31,云溪市综合行政执法局\r\n\r\n"
    assert list(parse(listed.encode(), "recorders.csv").recorders) == ["DSJ0731"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("r.csv", "", "a column serial"),
        ("r.csv", "名称\nx\n", "a column serial"),
        ("r.csv", "serial,volum_uuid\n", "'volum_uuid' is no column"),
        ("r.csv", "serial\n", "at least one recorder"),
        ("r.csv", "serial,usb_serial\n0000000,X\n", "line 2: serial: the number of a recorder"),
        ("r.csv", "serial,usb_serial\nA,0000000\n", "line 2: serial 0000000: a default"),
        ("r.csv", "serial,usb_serial\nA,X\nB,x\n", "line 3: serial x: recorder A has it already"),
        ("r.csv", "serial,usb_serial\nA,B\nB,X\n", "line 3: serial b: recorder A has it already"),
        ("r.csv", "serial,officer\nA,1\nA,2\n", "line 3: officer 2: recorder A is with 1"),
        ("r.csv", f"serial\n{'A' * 65}\n", "line 2: serial: at most 64 characters"),
        ("r.csv", 'serial\n"A', "not CSV"),
        ("r.toml", "[[[", "not TOML"),
        ("r.toml", "[[recorders]]\nserial = 7\n", "number 1: a table of texts"),
        ("r.toml", "recorders = 7\n", "at least one recorder"),
    ],
)
def test_what_no_register_may_say_is_refused_in_one_sentence(name, text, told):
    with pytest.raises(ConfigError, match=told) as caught:
        parse(text.encode(), name)
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ConfigError, match="UTF-8 or GB 18030"):
        parse(b"serial\n\xff\xff", "r.csv")


def test_a_register_is_read_again_when_it_changed_and_kept_when_it_became_wrong(tmp_path):
    path = tmp_path / "recorders.csv"
    with pytest.raises(ConfigError, match="cannot be read"):
        RegistryFile(path)
    path.write_text("serial\nA1\n")
    file = RegistryFile(path)
    first = file.current()
    assert file.current() is first
    path.write_text("serial\nA1\nA2\n")
    assert list(file.current().recorders) == ["A1", "A2"]
    path.write_text("serial\nA1\nA2\nA3\n0000\n")
    assert list(file.current().recorders) == ["A1", "A2"]
    path.unlink()
    assert list(file.current().recorders) == ["A1", "A2"]
    assert RegistryFile(None).current() is NOTHING


def test_an_empty_register_is_none():
    assert identified(Registry(), stated(serial="X")).verdict is Verdict.UNCHECKED
