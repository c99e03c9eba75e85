"""An index with many rows as wide as real ones, written without a log. What few rows are is in the oldest tenth.

There a list that reads its whole order to find them is slowest, and a plan that does so is noticed.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from sqlalchemy import Engine, Table, insert

from ingestd.index import tables as t

HOUR_MS: Final = 3_600_000
FIRST_MS: Final = 1_700_000_000_000
STEP_MS: Final = 30_000
"""From one clip to the next."""
UNIT: Final = "unit-7"
RARE_UNIT: Final = "unit-rare"
NO_RULE: Final = "rule-0"
OFFICER: Final = "000007"
CASE: Final = "案〔2026〕7号"
_BATCH: Final = 20_000
_KINDS_OF_RARE: Final = 7
_OFFICERS: Final = 500
_OFFICERS_OF_A_UNIT: Final = 20
_MEDIA: Final = '{"pad":"' + "x" * 450 + '"}'


def clip_id(number: int) -> str:
    """UUIDv7 in the order of docking."""
    stamp = f"{FIRST_MS + number * STEP_MS:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7000-8000-{number:012x}"


def action_id(number: int) -> str:
    """Actions are one to ten clips."""
    return f"A{number:09}"


def flag_id(number: int) -> str:
    """Flags are one to ten clips."""
    return f"{number:064x}"


def fill(engine: Engine, clips: int, *, counted: bool = True) -> None:
    """Write ``clips`` clips and a tenth as many actions, flags and files, and have the database count its rows."""
    few = max(_KINDS_OF_RARE * 2, clips // 10_000)
    for table, rows in _rows(clips, few):
        parts = iter(rows)
        while part := list(islice(parts, _BATCH)):
            with engine.begin() as db:
                db.execute(insert(table), part)
    if counted:
        with engine.begin() as db:
            db.exec_driver_sql("ANALYZE")


def _rows(clips: int, few: int) -> Iterator[tuple[Table, Iterable[Mapping[str, Any]]]]:
    tenth = max(20, clips // 10)
    yield t.state, [{"id": 1, "origin": "o", "applied_seq": 1, "applied_root": ""}]
    yield t.officer, (_officer(n) for n in range(_OFFICERS))
    yield t.officer, [{"number": "rare", "name": "稀", "unit": RARE_UNIT}]
    apart = max(1, clips // 10 // few)
    yield t.clip, (_clip(n, n // apart if n % apart == 0 and n < clips // 10 else None) for n in range(clips))
    yield t.case_file, ({"number": _case(n), "title": f"案由{n}", "unit": _unit(n)} for n in range(tenth // 3 + 1))
    yield t.case_file, [{"number": "rare", "title": "稀", "unit": RARE_UNIT}]
    yield t.action, (_action(n, n < few) for n in range(tenth))
    yield t.action_officer, (_part(n, n < few) for n in range(tenth))
    yield t.coverage, (_coverage(n) for n in range(tenth))
    yield t.link, (_link(n) for n in range(tenth))
    yield t.flag, (_flag(n, n < few) for n in range(tenth))
    yield t.seen_file, (_file(n, n < few) for n in range(tenth))


def _clip(number: int, rank: int | None) -> dict[str, Any]:
    """``rank`` among the few, each of which is rare in one way, and late."""
    copied_ms = FIRST_MS + number * STEP_MS
    start_ms = copied_ms - (5 if rank is None else 40) * HOUR_MS
    few = None if rank is None else rank % _KINDS_OF_RARE
    return {
        "object_id": clip_id(number),
        "log": "custody.example/station-01",
        "seq": number,
        "leaf": f"{number:064x}",
        "station": "station-99" if few == 0 else f"station-{number % 20:02}",
        "recorder": "REC-rare" if few == 0 else f"REC{number % _OFFICERS}",
        "name": f"originals/2026/11/{number:036}.MP4",
        "size": 1 << 30,
        "sha256": f"{number:064x}",
        "media_type": "video/mp4",
        "path": f"DCIM/100MEDIA/{'FILE' if rank is None else 'RARE'}{number:08}.MP4",
        "copied_ms": copied_ms,
        "officer_camera": "",
        "kind": "image" if few == 1 else "sidecar" if number % 5 == 0 else "video",
        "status": "quarantined" if few == 2 else "received" if few == 3 else "indexed",
        "reason": "",
        "start_ms": start_ms,
        "end_ms": start_ms + HOUR_MS // 2,
        "uncertainty_ms": 500,
        "officer": "rare" if few == 4 else "unregistered" if few == 5 else f"{number % _OFFICERS:06}",
        "officer_source": "stated",
        "officer_stated": "",
        "case_stated": "",
        "case_key": "",
        "lat_e7": None,
        "lon_e7": None,
        "accuracy_m": 0,
        "problems": "[]",
        "media": _MEDIA,
        "links": 0 if few == 6 or number % 5 == 0 else 1,
        "suggestions": 0,
        "verdict": "failed" if few == 0 else "verified",
        "check_ms": 0,
    }


def _action(number: int, rare: bool) -> dict[str, Any]:  # noqa: FBT001  # one of the few, or not
    start_ms = FIRST_MS + number * 10 * STEP_MS
    return {
        "action_id": action_id(number),
        "case_number": "rare" if rare else _case(number // 3),
        "case_key": "rare" if rare else _case(number // 3),
        "type": "rare" if rare else "seizure",
        "level": "text" if rare else "full",
        "start_ms": start_ms,
        "end_ms": start_ms + HOUR_MS,
        "officers": "[]",
        "accuracy_m": 0,
        "radius_m": 0,
        "tolerated_gap_ms": 0,
        "margin_ms": 0,
        "judged_ms": 0,
    }


def _part(number: int, rare: bool) -> dict[str, Any]:  # noqa: FBT001  # one of the few, or not
    start_ms = FIRST_MS + number * 10 * STEP_MS
    return {
        "officer": "rare" if rare else f"{number % _OFFICERS:06}",
        "action_id": action_id(number),
        "from_ms": start_ms,
        "until_ms": start_ms + HOUR_MS,
    }


def _coverage(number: int) -> dict[str, Any]:
    return {
        "action_id": action_id(number),
        "nominal_ppm": 1_000_000,
        "guaranteed_ppm": 1_000_000,
        "gaps": "[]" if number % 3 else '[[1,2,"no-clip"]]',
        "clips": f'["{clip_id(number)}"]' if number % 7 else "[]",
    }


def _link(number: int) -> dict[str, Any]:
    ends = {"object_id": clip_id(number * 10 + 1), "action_id": action_id(number)}
    return {**ends, "method": "auto", "score": 90, "reasons": '["officer-and-time"]', "rule_version": "1", "log_seq": 1}


def _flag(number: int, rare: bool) -> dict[str, Any]:  # noqa: FBT001  # one of the few, or not
    closed = number % 2
    return {
        "flag_id": flag_id(number),
        "rule": "rule-rare" if rare else f"rule-{number % 8}",
        "rule_version": "1",
        "key": "",
        "state": "cleared" if rare else "closed" if closed else "open",
        "action_id": action_id(number),
        "case_number": _case(number // 3),
        "article": "第七条",
        "detail": "无全程录像" * 40,
        "inputs": '{"pad":"' + "x" * 200 + '"}',
        "set_ms": FIRST_MS + number // 4 * STEP_MS,
        "changed_ms": FIRST_MS + number // 4 * STEP_MS,
        "log_seq": number,
        "stage": "explained" if number % 500 == 0 else "",
    }


def _file(number: int, rare: bool) -> dict[str, Any]:  # noqa: FBT001  # one of the few, or not
    return {
        "file_id": f"{number:064x}",
        "log": "custody.example/station-01",
        "place_id": f"{number:064x}",
        "recorder": f"REC{number % _OFFICERS}",
        "path": f"DCIM/100MEDIA/FILE{number:08}.MP4",
        "size": 1 << 30,
        "mtime_ms": 0,
        "seen_ms": FIRST_MS + number // 4 * STEP_MS,
        "seen_in": "x" * 64,
        "state": "failed" if rare else "copied",
        "reason": "",
    }


def _officer(number: int) -> dict[str, Any]:
    return {"number": f"{number:06}", "name": f"警员{number}", "unit": _unit(number // _OFFICERS_OF_A_UNIT)}


def _unit(number: int) -> str:
    return f"unit-{number % 25}"


def _case(number: int) -> str:
    return f"案〔2026〕{number}号"
