"""A desk with one officer's story, as the counter asks for it."""

from typing import Any

from station_agent.checkout import Finding, Readiness
from station_agent.dockside import masked
from station_agent.errors import DeskError
from tests.fakes.web_dock import GB


class FakeDesk:
    """Satisfies ``screen.counter.Desk``: recorder 5 is not ready, any other is."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.marked: list[tuple[str, int, str]] = []

    def check_in(self, officer: str) -> dict[str, Any]:
        dockings = [
            {
                "bay": number,
                "recorder": f"DSJ-8A 220041{number}",
                "docked_ms": 1_795_300_000_000 - number * 86_400_000,
                "files": 9 + number,
                "bytes": number * 6 * GB,
                "failed": number // 3,
                "mark": "important" if number == 2 else "",
            }
            for number in (1, 2, 3)
        ]
        return {"officer": masked(officer), "dockings": dockings, "held": list(self.held)}

    def mark(self, officer: str, bay: int, mark: str) -> None:
        self.marked.append((officer, bay, mark))

    def readiness(self, officer: str, named: str) -> tuple[str, Readiness]:
        del officer
        remarks = [Finding(f"{what}-unreadable", is_remark=True) for what in ("battery", "room")]
        problems = [Finding("open", 2), Finding("clock-offset", 94_000)] if named.endswith("5") else []
        return f"DSJ-8A 220041{named[-1]}", Readiness((*problems, *remarks))

    def issue(self, officer: str, named: str, reason: str) -> dict[str, Any]:
        recorder, found = self.readiness(officer, named)
        if not (found.ready or reason):
            raise DeskError("not-ready", "say why")
        self.held.append(recorder)
        return {"recorder": recorder, "seq": 1301, "leaf": "5f3c9a71" * 8, "ready": found.ready}

    def take_back(self, officer: str, recorder: str) -> dict[str, Any]:
        del officer
        self.held.remove(recorder)
        return {"recorder": recorder, "seq": 1302, "leaf": "5f3c9a71" * 8}
