"""Clips and actions for the tests of the pure rooms: plain builders, and hypothesis worlds of whole seconds."""

from dataclasses import replace

from hypothesis import strategies as st

from ingestd.model import Clip, EnforcementAction, Interval, Level, MediaKind, Position

T0 = 1_795_226_400_000
"""2026-11-21 10:00:00 in Shanghai."""
MINUTE = 60_000
HERE = Position(350_200_000, 1_110_000_000, 10)
NEARBY = Position(350_210_000, 1_110_000_000, 10)
"""About 111 m to the north."""
ELSEWHERE = Position(351_200_000, 1_110_000_000, 10)
"""About 11 km to the north."""


def span(start_min: float, end_min: float) -> Interval:
    return Interval(T0 + round(start_min * MINUTE), T0 + round(end_min * MINUTE))


def clip(object_id: str = "c1", interval: Interval | None = None, **other) -> Clip:
    plain = Clip(
        object_id=object_id,
        station="station-01",
        recorder="DSJ0731",
        kind=MediaKind.VIDEO,
        interval=interval or span(0, 10),
        uncertainty_ms=0,
        officer="007",
        officer_source="ledger",
    )
    return replace(plain, **other)


def action(action_id: str = "a1", interval: Interval | None = None, **other) -> EnforcementAction:
    plain = EnforcementAction(
        action_id=action_id,
        case="云执案〔2026〕第0317号",
        type="seizure",
        level=Level.FULL,
        interval=interval or span(0, 10),
        officers=("007", "013"),
        radius_m=500,
    )
    return replace(plain, **other)


OFFICERS = ("007", "013", "028")
CASES = ("云〔2026〕1号", "云〔2026〕2号")
_seconds = st.integers(0, 60)
_places = st.sampled_from([None, HERE])


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    start, length = draw(_seconds), draw(st.integers(1, 40))
    return Interval(T0 + start * 1000, T0 + (start + length) * 1000)


@st.composite
def actions(draw: st.DrawFn, max_size: int = 6) -> list[EnforcementAction]:
    size = draw(st.integers(0, max_size))
    return [
        action(
            f"a{number}",
            draw(intervals()),
            case=draw(st.sampled_from(CASES)),
            officers=tuple(draw(st.sets(st.sampled_from(OFFICERS), min_size=1))),
            level=draw(st.sampled_from(list(Level))),
            place=draw(_places),
            margin_ms=draw(st.integers(0, 15)) * 1000,
            tolerated_gap_ms=draw(st.sampled_from([0, 1000, 1999, 5000])),
        )
        for number in range(size)
    ]


@st.composite
def one_clip(draw: st.DrawFn, object_id: str) -> Clip:
    timeless = clip(
        object_id,
        kind=draw(st.sampled_from([*[MediaKind.VIDEO] * 5, *MediaKind])),
        uncertainty_ms=draw(st.integers(0, 6)) * 1000,
        officer=draw(st.sampled_from([*OFFICERS, ""])),
        officer_source=draw(st.sampled_from(["ledger", "stated"])),
        case_stated=draw(st.sampled_from(["", "", "", *CASES])),
        place=draw(_places),
        problems=draw(st.sampled_from([(), (), (), ("unreadable-picture",), ("truncated",)])),
    )
    return replace(timeless, interval=draw(st.one_of(intervals(), intervals(), intervals(), st.none())))


@st.composite
def clips(draw: st.DrawFn, max_size: int = 6) -> list[Clip]:
    return [draw(one_clip(f"c{number}")) for number in range(draw(st.integers(0, max_size)))]
