"""``ingestd anchors …`` at the centre, and ``ingestd witness`` for a second organisation."""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from custody.checkpoint import COSIGNATURE, NoteKey
from custody.errors import CustodyError
from custody.identifiers import is_origin
from custody.verdicts import Outcome
from ingestd import premises, service
from ingestd.anchors import setup
from ingestd.anchors.decide import CAVEAT
from ingestd.anchors.run import Anchorer, Round, vouched_ms
from ingestd.anchors.source import FILE_NAME, open_source
from ingestd.anchors.verify import Report, verify
from ingestd.anchors.witness import Vouched, Witness
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.errors import AnchorError, ConfigError, TokenError
from ingestd.keys import create_key, load_signer
from ingestd.logfiles import make_dirs, replace_file

_COULD_NOT_CHECK: Final = frozenset({"unparsable", "nothing-checked"})
_PUBLISHED_SIZES: Final = 32
"""A proof reads the whole log once; a witness that was away for longer asks for its size by ``--since``."""

anchors_app = typer.Typer(no_args_is_help=True, help="Anchors outside the house (外部锚定).")


@anchors_app.command("run")
def run(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    force: Annotated[bool, typer.Option("--force", help="Ask every authority now, due or not.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Ask the authorities that are due; exit 2 when one of them did not answer."""
    loaded = load_config(config, data_dir)
    _say_caveat(loaded)
    done = _anchorer(loaded).round(force=force)
    show(done.as_json(), as_json, lambda: _round_lines(done))
    raise typer.Exit(int(Outcome.COULD_NOT_CHECK if done.failures or not loaded.anchors.configured else Outcome.OK))


@anchors_app.command("list")
def list_anchors(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """List the anchors and when each states that it was made; nothing is verified."""
    loaded = load_config(config, data_dir)
    _say_caveat(loaded)
    witnesses = setup.witnesses(loaded)
    rows = [
        {"size": one.size, "kind": one.kind, "name": one.name, "utc_ms": vouched_ms(one, witnesses)}
        for one in setup.anchor_store(loaded).kept()
    ]
    facts = {"anchors": rows, "count": len(rows), "configured": loaded.anchors.configured}
    show(facts, as_json, lambda: [_row(row) for row in rows])


@anchors_app.command("verify")
def verify_anchors(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    copy: Annotated[list[Path] | None, typer.Option("--copy", help="Anchors that somebody else kept.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Check every anchor against its signer and against the log as it is now; exit codes as of ``audit verify``."""
    loaded = load_config(config, data_dir)
    _say_caveat(loaded)
    subject = setup.subject(loaded, premises.centre_notes(loaded), copy or [], premises.SystemClock().now_ms())
    report = verify(subject)
    show(report.as_json(), as_json, lambda: _report_lines(report))
    raise typer.Exit(int(report.outcome))


@anchors_app.command("add-witness")
def add_witness(
    file: Path,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Take in a checkpoint that a witness cosigned, after checking it against the log."""
    loaded = load_config(config, data_dir)
    try:
        note = file.read_bytes()
    except OSError as error:
        raise AnchorError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        kept = _anchorer(loaded).add_witness(note, premises.centre_notes(loaded))
    except TokenError as error:
        _refused(error, as_json=as_json)
    facts = {"anchored": [{"size": one.size, "kind": one.kind, "name": one.name} for one in kept]}
    show(facts, as_json, lambda: [f"{one.size}\t{one.kind}\t{one.name}" for one in kept])


@anchors_app.command("publish")
def publish(
    folder: Path,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    since: Annotated[list[int] | None, typer.Option("--since", help="A size that a witness saw last.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Write checkpoint and proofs for a witness that no wire reaches: from the newest anchors and ``--since``."""
    loaded = load_config(config, data_dir)
    service.build(loaded).pipeline.checkpoint()
    anchored = sorted({one.size for one in setup.anchor_store(loaded).kept()})[-_PUBLISHED_SIZES:]
    sizes = {*(since or []), *anchored}
    try:
        content = setup.published(loaded).publication(sorted(sizes))
        make_dirs(folder.absolute())
        replace_file(folder.absolute() / FILE_NAME, content)
    except TokenError as error:
        _refused(error, as_json=as_json)
    except OSError as error:
        raise AnchorError(f"{folder}: cannot be written: {error.strerror}") from error
    show({"file": str(folder / FILE_NAME)}, as_json, lambda: [str(folder / FILE_NAME)])


def witness(  # noqa: PLR0913  # options of one command
    state: Annotated[Path, typer.Option("--state", help="Folder of this witness's memory.")],
    centre_vkey: Annotated[str, typer.Option("--centre-vkey", help="vkey of the centre log.")],
    key: Annotated[Path, typer.Option("--key", help="Private key of this witness, PEM.")],
    name: Annotated[str, typer.Option("--name", help="Name it signs with, as procuratorate.example/witness.")],
    source: Annotated[str, typer.Option("--source", help="Publication of the centre: file, folder or URL.")] = "",
    ca: Annotated[Path | None, typer.Option("--ca", help="Root of the centre's https certificate.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the cosigned note.")] = None,
    make_key: Annotated[bool, typer.Option("--make-key", help="Make the key if there is none.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Witness the centre's log: cosign what only grew, refuse (exit 1) what was rewritten; exit 2: could not check.

    Without ``--source`` it only prints the vkey that the centre lists in ``anchors.witnesses``.
    """
    signer = create_key(key) if make_key else load_signer(key)
    one = Witness(state.absolute(), _centre_key(centre_vkey), _name(name), signer)
    if not source:
        show({"vkey": one.key().vkey()}, as_json, lambda: [one.key().vkey()])
        return
    try:
        vouched = one.vouch(open_source(source, ca), premises.SystemClock().now_ms() // 1000)
    except TokenError as error:
        _refused(error, as_json=as_json)
    except AnchorError as error:
        _refused(TokenError(str(error), "nothing-checked"), as_json=as_json)
    if out is not None:
        replace_file(out.absolute(), vouched.note)
    show(_vouched_facts(vouched, one), as_json, lambda: vouched.note.decode().splitlines())


def _anchorer(config: Config) -> Anchorer:
    never = threading.Event()
    return setup.anchorer(config, service.build(config).pipeline, premises.SystemClock().now_ms, never.wait)


def _refused(error: TokenError, *, as_json: bool) -> NoReturn:
    """Say why not, with the word of the finding, and end with its exit code."""
    could_not_check = error.finding in _COULD_NOT_CHECK
    result = Outcome.COULD_NOT_CHECK if could_not_check else Outcome.NOT_AS_RECORDED
    facts = {"ok": False, "outcome": int(result), "finding": error.finding, "reason": str(error)}
    print(printable(f"ingestd: {error.finding}: {error}"), file=sys.stderr)  # noqa: T201  # complaints go to standard error
    show(facts, as_json, list)
    raise typer.Exit(int(result))


def _centre_key(vkey: str) -> NoteKey:
    try:
        key = NoteKey.parse(vkey)
    except CustodyError as error:
        raise ConfigError(f"--centre-vkey: {error}") from error
    if key.kind == COSIGNATURE:
        raise ConfigError("--centre-vkey: the key of the centre's log is needed, not of a cosigner")
    return key


def _name(name: str) -> str:
    if not is_origin(name):
        raise ConfigError("--name: such as procuratorate.example/witness: parts of a-z 0-9 . _ - with / between")
    return name


def _vouched_facts(vouched: Vouched, one: Witness) -> dict[str, Any]:
    return {
        "ok": True,
        "outcome": int(Outcome.OK),
        "size": vouched.size,
        "before": vouched.before,
        "vkey": one.key().vkey(),
        "note": vouched.note.decode(),
    }


def _say_caveat(config: Config) -> None:
    if not config.anchors.configured:
        print(f"ingestd: {CAVEAT.zh} {CAVEAT.en}", file=sys.stderr)  # noqa: T201  # remarks go to standard error


def _round_lines(done: Round) -> list[str]:
    lines = [f"anchored 已锚定\t{one.size}\t{one.name}" for one in done.anchored]
    lines += [f"waiting 等待回复\t{name}" for name in done.waiting]
    lines += [f"failed 失败\t{failure}" for failure in done.failures]
    return lines or ["nothing due 无到期项"]


def _row(row: dict[str, Any]) -> str:
    return f"{row['size']}\t{row['kind']}\t{row['name']}\t{_moment(row['utc_ms'])}"


def _report_lines(report: Report) -> list[str]:
    lines = [f"{one.verdict}\t{one.size}\t{one.kind}\t{one.name}\t{_moment(one.utc_ms)}" for one in report.anchors]
    lines.append(f"{report.origin}: {report.size} entries, root {report.root}")
    return lines + [f"{finding}\t{reason}" for finding, reason in report.findings]


def _moment(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms // 1000, UTC).isoformat() if utc_ms else "—"
