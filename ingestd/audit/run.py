"""One audit from beginning to end: what was asked becomes a selection, a report, and if wished an entry in the log."""

import getpass
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from custody.canonical import JsonObject, JsonValue
from custody.checkpoint import parse_note
from custody.errors import EvidenceError
from custody.log import CHECKPOINT
from custody.verdicts import Finding
from ingestd import premises
from ingestd.anchors.decide import CAVEAT
from ingestd.audit.applied import applied
from ingestd.audit.found import EVENT, Report
from ingestd.audit.reread import Count
from ingestd.audit.selection import Days, Sample, Selection
from ingestd.audit.state import State
from ingestd.audit.verify import Applied, Subject, audit
from ingestd.config import Config
from ingestd.errors import AuditError, DatabaseError
from ingestd.logfiles import PosixLogFiles
from ingestd.store import EvidenceReader

STATE: Final = "audit/verify.jsonl"
"""Where a run that is interrupted leaves what it has found, in the data folder."""
MOST_LOGS: Final = 200
"""Log heads in one entry, which has at most 65,535 bytes; the count of all stands beside them."""
_MOST_CHARS: Final = 200
_RANDOM_BYTES: Final = 16

Say = Callable[[str], None]
"""Remarks for people, on standard error."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for."""

    clips: Sequence[str] = ()
    case: str = ""
    unit: str = ""
    officer: str = ""
    first_day: str = ""
    last_day: str = ""
    sample: str = ""
    seed: str = ""
    resume: bool = False
    state: Path | None = None
    readers: int = 0
    record: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A finished audit: what was found, who asked, when and with what."""

    report: Report
    started_ms: int
    ended_ms: int
    actor: str
    host: str
    tool: str
    recorded: bool

    def as_json(self) -> dict[str, Any]:
        """The object that ``audit verify --json`` prints."""
        told = {"actor": self.actor, "host": self.host, "tool": self.tool}
        times = {"started_ms": self.started_ms, "ended_ms": self.ended_ms}
        return {**self.report.as_json(), **told, **times, "recorded": "yes" if self.recorded else "no"}


def run(config: Config, asked: Asked, say: Say, progress: Callable[[Count], None]) -> Run:
    """Audit, and record it if asked to. Raises ``AuditError`` when it cannot be made as asked, or was interrupted."""
    selection = selection_of(config, asked)
    now_ms = premises.SystemClock().now_ms
    started_ms, last = now_ms(), [Count(0, 0, 0, 0)]

    def watch(count: Count) -> None:
        last[0] = count
        progress(count)

    with ExitStack() as stack:
        state = _state(config, asked, now_ms, say)
        if state is not None:
            stack.callback(state.close)
            selection = _go_on(state, selection, asked, say)
        if selection.sample and not selection.seed:
            selection = replace(selection, seed=_drawn(config), drawn=True)
        if state is not None:
            state.begin({"selection": selection.as_json(), "started_ms": started_ms}, resume=asked.resume)
        try:
            report = audit(subject_of(config, asked, selection, state, say), watch)
            _hold_against_anchors(report, config, now_ms(), say)
        except KeyboardInterrupt as error:
            kept = "; --resume goes on from there 可用 --resume 继续" if state is not None else ""
            raise AuditError(f"interrupted 已中断: {last[0].done} of {last[0].of} objects{kept}") from error
        if state is not None:
            state.finish()
    done = Run(
        report,
        started_ms,
        now_ms(),
        getpass.getuser(),
        socket.gethostname(),
        f"ingestd {version('bodycam-custody')}",
        asked.record,
    )
    if asked.record:
        _record(config, done)
    return done


def selection_of(config: Config, asked: Asked) -> Selection:
    """What was asked as a value. Raises ``AuditError`` saying what is wrong and what would be right."""
    for name, text in (("seed", asked.seed), ("case", asked.case), ("unit", asked.unit), ("officer", asked.officer)):
        if len(text) > _MOST_CHARS or not text.isprintable():
            raise AuditError(f"--{name}: at most {_MOST_CHARS} printable characters are needed")
    if asked.seed and not asked.sample:
        raise AuditError("--seed: goes with --sample")
    people = _clips_of(config, asked) if asked.unit or asked.officer else None
    return Selection(
        clips=tuple(sorted(set(asked.clips))),
        case=asked.case,
        unit=asked.unit,
        officer=asked.officer,
        people=people,
        days=days_of(asked.first_day, asked.last_day, config.zone),
        sample=_sample(asked.sample),
        seed=asked.seed,
    )


def days_of(first: str, last: str, zone: ZoneInfo) -> Days | None:
    """Whole days in the agency's zone, the last one included."""
    if not first and not last:
        return None
    days = Days(
        first,
        last,
        _midnight("--from", first, zone, 0) if first else None,
        _midnight("--to", last, zone, 1) if last else None,
    )
    if days.from_ms is not None and days.until_ms is not None and days.until_ms <= days.from_ms:
        raise AuditError(f"--from {first} --to {last}: the last day is before the first")
    return days


def _clips_of(config: Config, asked: Asked) -> frozenset[str]:
    from ingestd.audit.people import clips_of  # noqa: PLC0415  # the index takes long to load, and most ask it nothing

    return clips_of(config.database.url, asked.unit, asked.officer)


def entry_of_run(done: Run) -> JsonObject:
    """Blocks of the ``audit.done`` entry."""
    report = done.report
    logs: list[JsonValue] = [
        {"origin": log.origin, "size": log.size, "root": log.root} for log in report.logs[:MOST_LOGS]
    ]
    block: JsonObject = {
        "kind": "verify",
        "outcome": int(report.outcome),
        "selection": dict(report.selection),
        "announced": report.announced,
        "selected": report.selected,
        "originals": {verdict.value: count for verdict, count in report.originals.items()},
        "proxies": {verdict.value: count for verdict, count in report.proxies.items()},
        "findings": dict(report.words()),
        "read_bytes": report.read_bytes,
        "earlier": report.earlier.count,
        "started_ms": done.started_ms,
        "duration_ms": done.ended_ms - done.started_ms,
        "host": done.host,
        "tool": done.tool,
        "logs": logs,
        "log_count": len(report.logs),
    }
    return {"audit": block, "actors": [{"role": "auditor", "id": done.actor}]}


def subject_of(config: Config, asked: Asked, selection: Selection, state: State | None, say: Say) -> Subject:
    """What is audited, from the configuration."""
    stations = list(premises.stations(config).values())
    known = {station.station for station in stations}
    first, *successors = premises.centre_keys(config)
    subject = Subject(
        centre=first.note,
        stations=stations,
        files=lambda name: PosixLogFiles(premises.log_folder(config, name)),
        strangers=[one for one in premises.mirrored(config) if one not in known],
        store=EvidenceReader(config.store.url),
        now_ms=premises.SystemClock().now_ms(),
        patience_ms=config.store.missing_after_s * 1000,
        readers=asked.readers or cores(),
        centre_second=first.second,
        centre_successors=successors,
        applied=_applied(config.database.url, say),
        selection=selection,
    )
    return subject if state is None else replace(subject, earlier=state.earlier, keep=state.keep)


def cores() -> int:
    """Processors that we may use."""
    return len(os.sched_getaffinity(0))


def _applied(url: str, say: Say) -> Applied | None:
    """What the database has seen of the centre log; one that cannot be read is said and does not stop the audit."""
    try:
        return applied(url)
    except DatabaseError as error:
        say(f"the centre log was not compared with the database: {error}")
        return None


def _hold_against_anchors(report: Report, config: Config, now_ms: int, say: Say) -> None:
    """The centre log against what others outside vouched for; a site without anybody outside is told what that means.

    ``anchors verify --copy`` does the same with copies that others kept, which prove more than our own.
    """
    if not config.anchors.configured:
        say(f"{CAVEAT.zh} {CAVEAT.en}")
        return
    from ingestd.anchors import setup as anchors  # noqa: PLC0415  # takes long to load, and most sites need it never
    from ingestd.anchors.verify import verify as verify_anchors  # noqa: PLC0415  # the same

    found = verify_anchors(anchors.subject(config, premises.centre_notes(config), [], now_ms))
    for finding, reason in found.findings:
        if finding is not Finding.NOTHING_CHECKED:
            report.note(finding, f"anchors: {reason}", config.origin)


def _state(config: Config, asked: Asked, now_ms: Callable[[], int], say: Say) -> State | None:
    """Where results are remembered; nowhere when nobody insists and it cannot be."""
    try:
        return State.open(asked.state or config.paths.data / STATE, now_ms)
    except AuditError as error:
        if asked.resume or asked.state:
            raise
        say(f"if it is interrupted it cannot go on: {error}")
        return None


def _go_on(state: State, selection: Selection, asked: Asked, say: Say) -> Selection:
    """Take up the interrupted run when it was asked for the same; a seed that it drew is kept."""
    before = state.head.get("selection", {})
    if asked.resume and not state.head:
        say("there is no interrupted run to go on with; beginning anew 没有可继续的核验，从头开始")
    elif asked.resume:
        drawn = before.get("seed_drawn") == "yes" and not asked.seed
        if drawn and selection.sample:
            selection = replace(selection, seed=str(before.get("seed", "")), drawn=True)
        if before != selection.as_json():
            raise AuditError(f"--resume: the interrupted run selected {before or 'everything'}; ask for the same again")
        say(f"going on with {state.count} results of the interrupted run 继续上次核验")
    elif state.count:
        say(f"{state.count} results of an interrupted run are given up; --resume would have gone on with them")
    return selection


def _drawn(config: Config) -> str:
    """A seed that nobody could have foreseen or chosen: the log's signed head, and randomness drawn now.

    The head fixes the originals that can be drawn; the randomness keeps its signer from trying heads until a sample
    suits. It still is our word that we drew only once: an auditor who wants more than our word brings a seed.
    """
    note = PosixLogFiles(premises.log_folder(config, "centre")).get(CHECKPOINT)
    try:
        head = parse_note(note).checkpoint if note is not None else None
    except EvidenceError:
        head = None  # the audit itself will say what is wrong with it
    place = f"{head.size}:{head.root.hex()}" if head else "none"
    return f"{place}:{secrets.token_hex(_RANDOM_BYTES)}"


def _record(config: Config, done: Run) -> None:
    from ingestd import service  # noqa: PLC0415  # whoever only reads needs no pipeline

    centre = service.build(config)
    try:
        centre.pipeline.record([(EVENT, entry_of_run(done))])
        centre.pipeline.checkpoint()
    finally:
        centre.engine.dispose()


def _midnight(option: str, day: str, zone: ZoneInfo, later: int) -> int:
    try:
        moment = datetime.combine(date.fromisoformat(day) + timedelta(days=later), time(), zone)
        return int(moment.timestamp()) * 1000
    except (ValueError, OverflowError) as error:
        raise AuditError(f"{option} {day!r}: a day such as 2026-11-25 is needed") from error


def _sample(text: str) -> Sample | None:
    try:
        return Sample.parse(text) if text else None
    except ValueError as error:
        raise AuditError(f"--sample {error}") from error
