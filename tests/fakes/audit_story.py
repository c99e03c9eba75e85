"""What an auditor found elsewhere, as registers and footage: 100 dispatches, 20 of them without any video, 7 of 100
clips handed in late, and a backlog of clips that belong to nothing. The shares are those of Kansas City's auditor.
"""

import json
from datetime import UTC, datetime

from tests.fakes.centre_station import NOW_MS, FakeStation
from tests.fakes.centre_world import World

DISPATCHES, UNFILMED, LATE, BACKLOG = 100, 20, 7, 20
MINUTE = 60_000
HOUR = 60 * MINUTE
FIRST_MS = NOW_MS - 70 * HOUR
UNITS = ("城管一队", "城管二队", "")


def began_ms(number: int) -> int:
    return FIRST_MS + number * 15 * MINUTE


def tell(world: World) -> None:
    """Brings registers and footage into the centre; every fifth dispatch is on nobody's video."""
    world.pipeline.import_cases(json.dumps(registers(), ensure_ascii=False).encode(), "dispatches.json")
    station = world.stations[0]
    filmed = [number for number in range(DISPATCHES) if number % 5]
    late = set(filmed[:LATE])
    station.utc_ms = FIRST_MS
    for number in filmed:
        if number not in late:
            film(station, number, began_ms(number) + HOUR)
    for number in range(BACKLOG):
        station.clip(NOW_MS - 20 * HOUR, recorder=f"STRAY{number}", officer_as_stated="")
    station.utc_ms = NOW_MS
    for number in sorted(late):
        film(station, number, NOW_MS)
    world.clock.ms = station.utc_ms
    world.pipeline.handle([station.message()])


def film(station: FakeStation, number: int, copied_ms: int) -> None:
    station.utc_ms = max(station.utc_ms, copied_ms)
    station.clip(began_ms(number), 5 * MINUTE, recorder=f"REC{number}", officer_as_stated=f"{number:06}")


def registers() -> dict[str, object]:
    numbers = range(DISPATCHES)
    return {
        "officers": [
            *({"number": f"{n:06}", "name": f"甲{n}", "unit": UNITS[n % 3]} for n in numbers),
            *({"number": f"1{n:05}", "name": f"乙{n}", "unit": UNITS[n % 3]} for n in numbers),
        ],
        "cases": [{"number": f"案〔2026〕{n}号", "title": "查封", "unit": UNITS[n % 3]} for n in numbers],
        "actions": [
            {
                "id": f"A{n}",
                "case": f"案〔2026〕{n}号",
                "type": "seizure" if n % 2 else "demolition",
                "start": moment(began_ms(n)),
                "end": moment(began_ms(n) + 5 * MINUTE),
                "officers": [f"{n:06}", f"1{n:05}"],
            }
            for n in numbers
        ],
    }


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
