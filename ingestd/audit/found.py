"""What an audit found, as values: objects that signed entries announce, what is wrong, and the counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from custody.verdicts import Finding, Outcome, Verdict, outcome

EVENT: Final = "audit.done"
"""Entry of the centre log that says what an audit found."""
ORIGINAL: Final = "original"
PROXY: Final = "proxy"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a signed entry announces it."""

    kind: str
    object_id: str
    name: str
    size: int
    sha256: str
    station: str
    path: str
    announced_ms: int
    leaf: str = ""
    """Leaf hash (hex) of the entry: what a sample is drawn by."""
    parents: tuple[str, ...] = ()
    """Originals that a derived object was made from."""


@dataclass(frozen=True, slots=True)
class Bad:
    """One thing that is not right: an object's verdict or a log's finding, and why."""

    verdict: str
    reason: str
    object_id: str = ""
    kind: str = ""
    path: str = ""
    name: str = ""
    log: str = ""
    checked_ms: int = 0
    """When it was found, if that was in an earlier, interrupted run."""

    def as_json(self) -> dict[str, Any]:
        """Fields that say something."""
        return {key: value for key in self.__slots__ if (value := getattr(self, key))}


@dataclass(frozen=True, slots=True)
class LogReport:
    """One log that was read from its first entry to its last."""

    origin: str
    size: int
    root: str


@dataclass(slots=True)
class Earlier:
    """Results that an interrupted run left behind and this one took over."""

    count: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def add(self, checked_ms: int) -> None:
        """One more."""
        self.first_ms = min(self.first_ms, checked_ms) if self.count else checked_ms
        self.last_ms = max(self.last_ms, checked_ms)
        self.count += 1

    def as_json(self) -> dict[str, int]:
        """How many, and when they were found."""
        return {"count": self.count, "first_ms": self.first_ms, "last_ms": self.last_ms}


@dataclass(slots=True)
class Report:
    """What the audit found. Counts are of originals; proxies are counted apart."""

    originals: dict[Verdict, int] = field(default_factory=dict)
    proxies: dict[Verdict, int] = field(default_factory=dict)
    logs: list[LogReport] = field(default_factory=list)
    findings: list[Bad] = field(default_factory=list)
    log_findings: list[Finding] = field(default_factory=list)
    selection: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for (``Selection.as_json``); empty when everything was."""
    announced: int = 0
    """Originals that the logs announce."""
    selected: int = 0
    """Originals that were to be re-read."""
    read_bytes: int = 0
    """Bytes of originals and proxies that were read now."""
    earlier: Earlier = field(default_factory=Earlier)

    @property
    def outcome(self) -> Outcome:
        """0 only when at least one original was verified and nothing is wrong."""
        verdicts = [*self.originals, *self.proxies]
        nothing = [] if self.originals else [Finding.NOTHING_CHECKED]
        return outcome(verdicts, [*self.log_findings, *nothing])

    def note(self, finding: Finding, reason: str, log: str) -> None:
        """Add what is wrong with a log."""
        self.log_findings.append(finding)
        self.findings.append(Bad(finding, reason, log=log))

    def words(self) -> dict[str, int]:
        """How often each word of the vocabulary was said of something that is not right."""
        counted: dict[str, int] = {}
        for bad in self.findings:
            counted[str(bad.verdict)] = counted.get(str(bad.verdict), 0) + 1
        return counted

    def as_json(self) -> dict[str, Any]:
        """The object that ``audit verify --json`` prints."""
        return {
            "ok": self.outcome is Outcome.OK,
            "outcome": int(self.outcome),
            **counts(self.originals),
            "announced": self.announced,
            "selected": self.selected,
            "read_bytes": self.read_bytes,
            "proxies": counts(self.proxies),
            "selection": dict(self.selection),
            "earlier": self.earlier.as_json() if self.earlier.count else None,
            "logs": [{"origin": log.origin, "size": log.size, "root": log.root} for log in self.logs],
            "findings": [bad.as_json() for bad in self.findings],
        }


def counts(verdicts: Mapping[Verdict, int]) -> dict[str, int]:
    """Unreadable objects count as unchecked too: nobody knows what they hold."""
    counted = {verdict.value: verdicts.get(verdict, 0) for verdict in Verdict}
    counted["unchecked"] += counted["unreadable"]
    return counted
