"""Checks the station's own log and spool, trusting nothing but the key: what ``station-agent verify-log`` does.

1 every entry: envelope, key, schema, log, ``seq``, ``prev`` → 2 the root against the newest checkpoint → 3 every sealed
file in the spool read in full and compared with its entry.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from custody.errors import EvidenceError
from custody.layout import is_store_name
from custody.log import Log, LogFiles
from custody.record import Record
from custody.signer import VerifyKey
from custody.verdicts import Finding, Outcome, Verdict, outcome

_SEALING = frozenset({"ingest.copied", "proxy.created"})


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and how it came out."""

    entries: int
    root: str
    checkpoint_size: int
    torn_bytes: int
    verdicts: dict[str, Verdict]
    """Store name → verdict of the file in the spool."""
    findings: tuple[tuple[Finding, str], ...]

    @property
    def outcome(self) -> Outcome:
        """Exit code; nothing checked is never right."""
        checked = [Verdict.VERIFIED] * bool(self.entries and not self.findings)
        return outcome([*checked, *self.verdicts.values()], [finding for finding, _ in self.findings])

    def block(self) -> dict[str, object]:
        """As ``--json`` prints it."""
        counts = Counter(str(verdict) for verdict in self.verdicts.values())
        return {
            "entries": self.entries,
            "root": self.root,
            "checkpoint_size": self.checkpoint_size,
            "torn_bytes": self.torn_bytes,
            "files": {word: counts.get(word, 0) for word in ("verified", "failed", "missing", "unreadable")},
            "not_verified": {n: str(v) for n, v in sorted(self.verdicts.items()) if v is not Verdict.VERIFIED},
            "findings": [{"finding": str(finding), "detail": detail} for finding, detail in self.findings],
            "exit_code": int(self.outcome),
        }


def verify_log(files: LogFiles, origin: str, key: VerifyKey, spool: Path) -> Report:
    """Check log and spool. Findings are reported, not raised; errors of the medium are raised."""
    try:
        log = Log(files, origin, [key])
        verdicts = dict(_verdicts(log, spool))
    except EvidenceError as error:
        return Report(0, "", 0, 0, {}, ((Finding(error.finding), str(error)),))
    signed = log.latest.checkpoint.size if log.latest else 0
    findings = () if log.size else ((Finding.NOTHING_CHECKED, f"{origin} has no entries"),)
    return Report(log.size, log.chain.root().hex(), signed, log.torn_bytes, verdicts, findings)


def _verdicts(log: Log, spool: Path) -> Iterator[tuple[str, Verdict]]:
    for entry in log.entries():
        if entry.record.event in _SEALING:
            stored = entry.record.block("object")
            yield str(stored["name"]), _verdict(entry.record, spool / _safe(str(stored["name"])))


def _safe(name: str) -> str:
    return name if is_store_name(name) else "no-such-name"


def _verdict(record: Record, path: Path) -> Verdict:
    stored = record.block("object")
    digests = stored["digests"]
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return Verdict.MISSING
    except OSError:
        return Verdict.UNREADABLE
    right = isinstance(digests, dict) and digests.get("sha256") == found and path.stat().st_size == stored["size"]
    return Verdict.VERIFIED if right else Verdict.FAILED
