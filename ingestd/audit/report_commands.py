"""``ingestd audit report``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from custody.checkpoint import NoteKey
from custody.identifiers import uuid7
from custody.log import CHECKPOINT
from custody.signer import verify_key
from custody.verdicts import Outcome
from ingestd import premises
from ingestd.anchors import setup as anchoring
from ingestd.anchors.verify import Report as AnchorReport
from ingestd.anchors.verify import verify as verify_anchors
from ingestd.audit import report
from ingestd.audit.chain_commands import story
from ingestd.audit.report_facts import facts_of, outcome_of
from ingestd.audit.run import Asked
from ingestd.audit.verify_commands import (
    CaseOption,
    ClipOption,
    FromOption,
    OfficerOption,
    ReadersOption,
    RecordOption,
    SampleOption,
    SeedOption,
    ToOption,
    UnitOption,
    audited,
    lines,
    say,
)
from ingestd.config import CENTRE, Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.errors import AuditError
from ingestd.logfiles import PosixLogFiles

MOST_CHAINS: Final = 20
"""Named clips whose story is told in the report; each costs a reading of the logs."""


def make_report(  # noqa: PLR0913  # options of one command
    out: Annotated[Path, typer.Option("--out", help="Folder to make; it must not be there yet.")],
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
    record: RecordOption = False,  # noqa: FBT002  # typer's form of a switch
    html_only: Annotated[bool, typer.Option("--html-only", help="No PDF.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Audit as ``verify`` does and write a signed report, HTML and PDF, Chinese and English; the same exit codes."""
    loaded, out = load_config(config, data_dir), out.absolute()
    signer = premises.signers(loaded)[0]
    report.check(signer, out)
    if len(clip or ()) > MOST_CHAINS:
        raise AuditError(f"--clip: a report tells the story of at most {MOST_CHAINS} clips; leave out --clip for more")
    asked = Asked(clip or (), case, unit, officer, from_day, to_day, sample, seed, resume, None, readers, record)
    done = audited(loaded, asked)
    anchors, chains = _anchors(loaded), [story(loaded, one) for one in sorted(set(clip or ()))]
    facts = facts_of(
        done,
        anchors,
        chains,
        _checkpoints(loaded),
        report_id=uuid7(done.ended_ms, os.urandom(10)),
        centre=loaded.origin,
        vkey=NoteKey(loaded.origin, verify_key(signer)).vkey(),
        zone=loaded.centre.timezone,
    )
    problem = report.write(facts, signer, out, with_pdf=not html_only)
    if problem:
        say(problem)
    told = {**_short(facts), "folder": str(out), "pdf": "no" if problem or html_only else "yes"}
    show(told, as_json, lambda: [*lines(done), f"report 报告: {out}"])
    result = outcome_of(done, anchors, chains)
    raise typer.Exit(int(Outcome.COULD_NOT_CHECK if problem and result is Outcome.OK else result))


def _anchors(config: Config) -> AnchorReport | None:
    """What became of the anchors, where the agency has configured any."""
    if not config.anchors.configured:
        return None
    subject = anchoring.subject(config, premises.centre_notes(config), [], premises.SystemClock().now_ms())
    return verify_anchors(subject)


def _checkpoints(config: Config) -> Mapping[str, str]:
    """The signed heads of the logs as they lie there; whether they hold is for the audit to say."""
    mirrored = {*(one.id for one in config.stations), *premises.mirrored(config)}
    names = {config.origin: CENTRE, **{config.station_origin(name): name for name in sorted(mirrored)}}
    notes = {origin: PosixLogFiles(premises.log_folder(config, name)).get(CHECKPOINT) for origin, name in names.items()}
    return {origin: note.decode("utf-8", "replace") for origin, note in notes.items() if note is not None}


def _short(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts["verify"], "ok": facts["outcome"] == 0, "outcome": facts["outcome"], "report": facts["id"]}
