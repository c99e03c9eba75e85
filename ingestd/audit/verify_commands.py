"""``ingestd audit verify``."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from custody.verdicts import Outcome
from ingestd.audit.found import Report, counts
from ingestd.audit.progress import line
from ingestd.audit.run import Asked, Run, run
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.progress import Meter

ClipOption = Annotated[list[str] | None, typer.Option("--clip", help="One clip, by its id; may be repeated.")]
CaseOption = Annotated[str, typer.Option("--case", help="Clips linked to this case, by the signed log.")]
UnitOption = Annotated[str, typer.Option("--unit", help="Clips of this unit and of those below it, by the index.")]
OfficerOption = Annotated[str, typer.Option("--officer", help="Clips of this certificate number, by the index.")]
FromOption = Annotated[str, typer.Option("--from", help="First day of recording (else of docking), YYYY-MM-DD.")]
ToOption = Annotated[str, typer.Option("--to", help="Last day, included.")]
SampleOption = Annotated[str, typer.Option("--sample", help="A random sample: a number, or a share such as 5%.")]
SeedOption = Annotated[str, typer.Option("--seed", help="Seed of the sample; without it one is drawn and said.")]
ReadersOption = Annotated[int, typer.Option("--readers", min=0, max=256, help="Objects read at once; 0: one a core.")]
RecordOption = Annotated[bool, typer.Option("--record", help="Enter the outcome in the centre log.")]

_ENDS: Final = {
    Outcome.OK: "OK: all that was checked is as recorded 已核验，与记录一致",
    Outcome.NOT_AS_RECORDED: "NOT AS RECORDED 与记录不符",
    Outcome.COULD_NOT_CHECK: "COULD NOT CHECK: this is not OK 无法核验，不等于正常",
}


def verify(  # noqa: PLR0913  # options of one command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    clip: ClipOption = None,
    case: CaseOption = "",
    unit: UnitOption = "",
    officer: OfficerOption = "",
    from_day: FromOption = "",
    to_day: ToOption = "",
    sample: SampleOption = "",
    seed: SeedOption = "",
    readers: ReadersOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,  # noqa: FBT002  # typer's form of a switch
    state: Annotated[Path | None, typer.Option("--state", help="File that an interrupted run leaves.")] = None,
    record: RecordOption = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Verify every log and re-read originals, all or a selection; exit 0 as recorded, 1 not, 2 could not check."""
    asked = Asked(clip or (), case, unit, officer, from_day, to_day, sample, seed, resume, state, readers, record)
    done = audited(load_config(config, data_dir), asked)
    show(done.as_json(), as_json, lambda: lines(done))
    raise typer.Exit(int(done.report.outcome))


def audited(config: Config, asked: Asked) -> Run:
    """Run it with progress and remarks on standard error; SIGTERM interrupts it as Ctrl-C does."""
    with _terminable():
        return run(config, asked, say, Meter(sys.stderr, line))


def say(remark: str) -> None:
    """A remark for people."""
    print(printable(f"ingestd: {remark}"), file=sys.stderr)  # noqa: T201  # remarks go to standard error


def lines(done: Run) -> list[str]:
    """The report for people who read a terminal."""
    report = done.report
    told = [f"{count:>8} {name}" for name, count in counts(report.originals).items()]
    told += _what(report)
    told += [f"{log.origin}: {log.size} entries, root {log.root}" for log in report.logs]
    told += ["  ".join(f"{key}={value}" for key, value in bad.as_json().items()) for bad in report.findings]
    if done.recorded:
        told.append("recorded in the centre log 已记入中心日志 (audit.done)")
    return [*told, _ENDS[report.outcome]]


def _what(report: Report) -> list[str]:
    """What was re-read, and what was not."""
    asked = " ".join(f"{name}={value}" for name, value in report.selection.items())
    told = [f"selection 选取: {asked}"] if asked else []
    if report.selected < report.announced:
        rest = report.announced - report.selected
        told.append(f"{report.selected} of {report.announced} originals re-read; {rest} NOT re-read 未重新读取")
    if report.earlier.count:
        told.append(f"{report.earlier.count} results are of an interrupted run 取自中断前的核验")
    return told


@contextmanager
def _terminable() -> Iterator[None]:
    """Within it SIGTERM raises ``KeyboardInterrupt``."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
