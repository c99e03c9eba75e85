import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.errors import ContractError
from custody.identifiers import first_origin, is_origin, is_uuid7, log_origin, second_origin, station_of, uuid7
from custody.layout import is_store_name, original_name, proxy_name, safe_extension
from custody.verdicts import Finding, Outcome, Verdict, outcome

ID = "019ab1a5-1a2b-7d55-8b02-91c3a4e05f77"


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_is_a_uuid_of_version_7_that_keeps_its_time(utc_ms, randomness):
    text = uuid7(utc_ms, randomness)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == utc_ms
    assert is_uuid7(text)


def test_uuid7_needs_its_parts():
    for utc_ms, randomness in ((-1, b"x" * 10), (1 << 48, b"x" * 10), (0, b"x")):
        with pytest.raises(ContractError):
            uuid7(utc_ms, randomness)


def test_origins():
    assert log_origin("custody.example", "station-07") == "custody.example/station-07"
    assert station_of("custody.example/station-07") == "station-07"
    assert not is_origin("custody.example/" + "x" * 200)
    for authority, name in (("Custody", "a"), ("custody.example", "a+b"), ("custody.example", "a/b"), ("", "a")):
        with pytest.raises(ContractError):
            log_origin(authority, name)


def test_store_names_come_from_the_object_and_the_day():
    assert original_name(ID, 1795373277980, "MP4") == f"originals/2026/11/22/{ID}.MP4"
    assert proxy_name(ID, 1795373277980) == f"proxies/2026/11/22/{ID}.mp4"
    assert is_store_name(original_name(ID, 0, "bin"))
    far = original_name(ID, 0, "bin").replace("1970/01/01", "1970/13/01")
    arabic = original_name(ID, 0, "bin").replace("1970", "\u0661970")
    for bad in (
        far,
        arabic,
        f"originals/2026/11/22/{'-' * 36}.MP4",
        "../etc/passwd",
        "originals/2026/11/22/../../x",
        f"other/2026/11/22/{ID}.MP4",
        "",
    ):
        assert not is_store_name(bad)
    for object_id, extension in (("x", "MP4"), (ID, "../x"), (ID, "")):
        with pytest.raises(ContractError):
            original_name(object_id, 0, extension)


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.MP4", "MP4"), ("a", "bin"), ("a.", "bin"), ("a.m/4", "bin"), ("a.视频", "bin"), ("a.toolongextension", "bin")],
)
def test_a_device_s_extension_is_kept_only_when_harmless(name, extension):
    assert safe_extension(name) == extension


@pytest.mark.parametrize(
    ("verdicts", "findings", "code"),
    [
        ([Verdict.VERIFIED], [], Outcome.OK),
        ([], [], Outcome.COULD_NOT_CHECK),
        ([Verdict.VERIFIED, Verdict.UNCHECKED], [], Outcome.COULD_NOT_CHECK),
        ([Verdict.UNREADABLE], [], Outcome.COULD_NOT_CHECK),
        ([], [Finding.NOTHING_CHECKED], Outcome.COULD_NOT_CHECK),
        ([Verdict.VERIFIED], [Finding.UNPARSABLE], Outcome.COULD_NOT_CHECK),
        ([Verdict.VERIFIED, Verdict.FAILED], [], Outcome.NOT_AS_RECORDED),
        ([Verdict.MISSING], [], Outcome.NOT_AS_RECORDED),
        ([Verdict.UNRECORDED], [], Outcome.NOT_AS_RECORDED),
        ([Verdict.FAILED, Verdict.UNREADABLE], [], Outcome.NOT_AS_RECORDED),
        ([Verdict.VERIFIED], [Finding.SEQ_GAP], Outcome.NOT_AS_RECORDED),
    ],
)
def test_exit_codes(verdicts, findings, code):
    assert outcome(verdicts, findings) == code


def test_a_log_is_known_by_either_of_its_origins():
    origin = "custody.example/station-07"
    assert first_origin(second_origin(origin)) == first_origin(origin) == origin
