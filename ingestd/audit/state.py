"""What an audit remembers while it runs, so that one that was interrupted goes on where it stopped.

A file of lines: a head that says what was selected, then each object with what became of it. It is no evidence and is
not signed: whoever may write to the data folder may write to it. A report therefore says how many of its results come
from it, and from when; who does not trust them starts anew. A result counts only while the signed entry is the one it
was found for, so a log that has changed since is read as it is now.
"""

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final, Self

from custody.verdicts import Verdict
from ingestd.audit.found import Stored
from ingestd.audit.reread import Result
from ingestd.errors import AuditError
from ingestd.logfiles import make_dirs

TYPE: Final = "bwc.audit-state/v1"
_TRIED_AGAIN: Final = frozenset({Verdict.UNREADABLE, Verdict.UNCHECKED})
"""What could not be checked then may be checkable now."""


class State:
    """An open state file, ours alone until it is closed."""

    def __init__(self, path: Path, file: IO[str], now_ms: Callable[[], int]) -> None:
        self._path = path
        self._file = file
        self._now_ms = now_ms
        self.head: Mapping[str, Any] = {}
        """What the interrupted run was asked for; empty when there was none."""
        self._found: dict[tuple[str, str], Result] = {}
        self._read()

    @classmethod
    def open(cls, path: Path, now_ms: Callable[[], int]) -> Self:
        """Raises ``AuditError`` when another audit holds the file, or it cannot be written."""
        try:
            make_dirs(path.parent)
            file = os.fdopen(
                os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), "r+", encoding="utf-8", errors="replace"
            )
        except OSError as error:
            raise AuditError(f"{path}: cannot be written: {error.strerror}; name another place by --state") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise AuditError(f"{path}: another audit is running; name another place by --state") from error
        return cls(path, file, now_ms)

    @property
    def count(self) -> int:
        """How many results the interrupted run left."""
        return len(self._found)

    def begin(self, head: Mapping[str, Any], *, resume: bool) -> None:
        """Start, or go on when ``resume``; what does not go on is forgotten."""
        if resume and self.head:
            return
        self._found.clear()
        self.head = head
        self._file.seek(0)
        self._file.truncate()
        self._write({"type": TYPE, **head})

    def earlier(self, stored: Stored) -> Result | None:
        """What was found of this very object before."""
        return self._found.get((stored.name, _identity(stored)))

    def keep(self, stored: Stored, result: Result) -> None:
        """Remember; the last line may be lost in a crash, which costs one reading."""
        if result.verdict is not None and result.verdict not in _TRIED_AGAIN:
            self._write(
                {
                    "name": stored.name,
                    "entry": _identity(stored),
                    "verdict": result.verdict,
                    "reason": result.reason,
                    "checked_ms": self._now_ms(),
                }
            )

    def finish(self) -> None:
        """The audit is through: nothing is left to go on with."""
        self._path.unlink(missing_ok=True)
        self._file.close()

    def close(self) -> None:
        """Interrupted: what is there stays."""
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise AuditError(f"{self._path}: cannot be written: {error.strerror}") from error

    def _read(self) -> None:
        """Lines that are whole; half a line, or one of somebody else's, is as if it were not there."""
        for number, line in enumerate(self._file):
            facts = _facts(line)
            if number == 0:
                self.head = {name: value for name, value in facts.items() if name != "type"}
                if facts.get("type") != TYPE or not isinstance(facts.get("selection"), dict):
                    self.head = {}
                    return
            elif str(facts.get("verdict")) in set(Verdict):
                place = str(facts.get("name")), str(facts.get("entry"))
                checked_ms = facts.get("checked_ms")
                at_ms = checked_ms if isinstance(checked_ms, int) else 0
                self._found[place] = Result(Verdict(facts["verdict"]), str(facts.get("reason", "")), at_ms)


def _identity(stored: Stored) -> str:
    """The signed entry that announces the object."""
    return stored.leaf


def _facts(line: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(line) if line.endswith("\n") else {}
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
