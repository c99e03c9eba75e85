"""What officers do at the dock: check in by badge, mark a docking, take a recorder out and bring it back.

A badge says a number and proves nothing; the log says who was said to be there. Every act is one signed entry, and the
ledger (台账) is what the log says: ``recorder.issued`` and ``recorder.returned`` reach the centre like any other entry.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from custody.canonical import JsonObject, JsonValue
from station_agent.checkout import Facts, Readiness, readiness
from station_agent.config import Config, Policy
from station_agent.docking import Docking
from station_agent.dockside import masked
from station_agent.errors import DeskError
from station_agent.journal import Journal
from station_agent.model import recordable
from station_agent.pipeline import QUIET_REFUSALS
from station_agent.seal import Seal
from station_agent.states import MAY_TAKE, BayState
from station_agent.status import Board
from station_agent.visits import (
    held_by,
    holder_of,
    last_of_officer,
    last_of_recorder,
    not_erased,
    open_of_recorder,
)

Json = dict[str, Any]
"""JSON objects, arrays, strings, numbers and booleans."""

MARKS: Final = ("priority", "important")
LAST_DOCKINGS: Final = 3
SETTLED: Final = QUIET_REFUSALS | {"source-vanished"}
"""Reasons of failed files for which nothing is left to wait for: no recording, or not on the recorder any more."""
_OFFICER: Final = re.compile(r"[0-9A-Za-z-]{1,32}")


@dataclass(frozen=True, slots=True)
class Desk:
    """Raises ``DeskError`` with a sentence for what cannot be done; nothing was recorded then."""

    config: Config
    journal: Journal
    seal: Seal
    board: Board
    resting: Callable[[], Sequence[Docking]]
    """Recorders that were read to the end and are still in their bays."""

    def check_in(self, officer: str) -> Json:
        """An officer's last dockings, and the recorders that the officer holds."""
        officer, ask = _valid(officer), self.journal.ask
        visits = last_of_officer(ask, officer, LAST_DOCKINGS)
        return {
            "officer": masked(officer),
            "dockings": [
                {
                    "bay": visit.bay,
                    "recorder": visit.serial,
                    "docked_ms": visit.docked_ms,
                    "files": len(visit.footage),
                    "bytes": sum(clip.size for clip in visit.footage),
                    "failed": visit.failed,
                    "mark": visit.mark,
                }
                for visit in visits
            ],
            "held": held_by(ask, officer),
        }

    def mark(self, officer: str, bay: int, mark: str) -> None:
        """The next docking in ``bay`` is to be taken as this."""
        officer = _valid(officer)
        if bay not in self.config.bay_patterns:
            raise DeskError("no-bay", f"there is no bay {bay}; the bays are {sorted(self.config.bay_patterns)}")
        if mark not in MARKS:
            raise DeskError("no-mark", f"a docking is marked as one of {', '.join(MARKS)}")
        self.seal.append("docking.marked", {"marking": {"bay": bay, "mark": mark}, "actors": _actors(officer)})

    def readiness(self, officer: str, named: str) -> tuple[str, Readiness]:
        """The recorder that is named by its label, its serial number or its bay, and whether it is ready."""
        officer, recorder = _valid(officer), self._recorder(named)
        return recorder, readiness(self._facts(recorder), officer, self.config.screen.video_mbit_s)

    def issue(self, officer: str, named: str, reason: str) -> Json:
        """Enter that the officer holds the recorder from now on; one that is not ready needs a ``reason``.

        Whoever held it by the ledger does so no longer, which is an entry of its own.
        """
        recorder, found = self.readiness(officer, named)
        said = recordable(reason.strip())
        if not found.ready and not said:
            raise DeskError("not-ready", f"{recorder} is not ready ({_told(found)}): say why it is issued all the same")
        findings: list[JsonValue] = [str(finding) for finding in found.findings]
        issue: JsonObject = {
            "officer": officer,
            "ready": "yes" if found.ready else "no",
            "findings": findings,
            **({} if found.ready else {"reason": said}),
        }
        body: JsonObject = {"camera": {"serial": recorder}, "issue": issue, "actors": _actors(officer)}
        holder = holder_of(self.journal.ask, recorder)
        entries = self.seal.append_all(
            [*([_return(recorder, holder, officer)] if holder else []), ("recorder.issued", body)]
        )
        return {"recorder": recorder, "seq": entries[-1].seq, "leaf": entries[-1].leaf.hex(), "ready": found.ready}

    def take_back(self, officer: str, recorder: str) -> Json:
        """Enter that the officer holds the recorder no longer."""
        officer = _valid(officer)
        if recorder not in held_by(self.journal.ask, officer):
            raise DeskError("not-held", f"by the ledger of this station {recorder} is not held by this officer")
        entry = self.seal.append(*_return(recorder, officer, officer))
        return {"recorder": recorder, "seq": entry.seq, "leaf": entry.leaf.hex()}

    def _recorder(self, named: str) -> str:
        """A bay number means what is in it, a label what is docked under it; anything else is a serial number."""
        named = recordable(named.strip())
        for tile in self.board.tiles():
            if tile.serial and named in (str(tile.bay), tile.label):
                return tile.serial
        if not named or (named.isdecimal() and int(named) in self.config.bay_patterns):
            raise DeskError("no-recorder", "scan the recorder's label, or name the bay in which it is")
        return named

    def _facts(self, recorder: str) -> Facts:
        ask = self.journal.ask
        tiles = [tile for tile in self.board.tiles() if tile.serial == recorder and tile.state is not BayState.IDLE]
        last = last_of_recorder(ask, recorder)
        return Facts(
            known=last is not None,
            busy=any(tile.state not in MAY_TAKE for tile in tiles),
            holder=holder_of(ask, recorder),
            open=open_of_recorder(ask, recorder, SETTLED),
            left=self._left(recorder),
            is_emptied_here=self.config.erase.policy is not Policy.NEVER,
            offset_ms=last.offset_ms if last else None,
            battery_percent=None,  # no recorder that docks as a disk tells it
            free_bytes=last.free_bytes if last else None,
        )

    def _left(self, recorder: str) -> int | None:
        """Files on a docked recorder, where all that are on it were looked at; those that were erased are gone."""
        here = [docking for docking in self.resting() if docking.event.identity.serial == recorder]
        if not here or self.config.recorders.trust_names:
            return None
        return sum(not_erased(self.journal.ask, one.copied | one.same) for one in here)


def _return(recorder: str, holder: str, by: str) -> tuple[str, JsonObject]:
    return "recorder.returned", {"camera": {"serial": recorder}, "issue": {"officer": holder}, "actors": _actors(by)}


def _actors(officer: str) -> list[JsonValue]:
    who: Mapping[str, JsonValue] = {"role": "officer", "id": officer}
    return [who]


def _valid(officer: str) -> str:
    officer = officer.strip()
    if not _OFFICER.fullmatch(officer):
        raise DeskError("no-officer", "an officer's number of 1 to 32 digits and letters is needed")
    return officer


def _told(found: Readiness) -> str:
    return ", ".join(str(finding) for finding in found.findings if not finding.is_remark)
