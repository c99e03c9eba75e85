"""Command line of the station, and the one place where errors become exit codes."""

import functools
import json
import logging
import os
import signal
import stat
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from custody.checkpoint import NoteKey
from custody.errors import CustodyError, EvidenceError
from custody.verdicts import Outcome
from station_agent import enrolment, port_rules, terminal
from station_agent.audit import NoLog, verify_log
from station_agent.bucket import Bucket
from station_agent.clock import SystemClock
from station_agent.config import FILE_NAME, Config, load
from station_agent.durable import replace_file
from station_agent.emptying import ORDER, Order, Orders
from station_agent.errors import AgentError, ConfigError, JournalError, KeyFileError
from station_agent.journal import Journal
from station_agent.logfiles import ENTRIES, AuditedLogFiles
from station_agent.publish import rewind
from station_agent.registry_file import RegistryFile
from station_agent.seal import new_id
from station_agent.service import TOOLS, broker_of, ingest_folder, is_running, opened, sandbox_of
from station_agent.service import run as run_service
from station_agent.status import Board, CentreLink, LogHead, Status, status_of, summary_line, with_sandbox
from station_agent.store import EvidenceStore
from station_agent.timesource import TimeSource
from station_agent.warden import Proof, config_digest, proof_of, remembered_proof, required

EVIDENCE_EXIT: Final = 65
"""Exit code for a log or message that contradicts itself (EX_DATAERR of sysexits(3))."""
_SCREEN_TIMEOUT_S: Final = 2.0
_ANSWER_PAUSE_S: Final = 0.3

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="采集站 · docking station agent"
)
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="configuration file")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help=f"folder with {FILE_NAME}")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]


def main() -> None:
    """Entry point of the console script: every expected error becomes one sentence and its class's exit code."""
    _log_to_stderr()
    try:
        app()
    except AgentError as error:
        _fail(str(error), error.exit_code)
    except EvidenceError as error:
        _fail(f"{error.finding}: {error}", EVIDENCE_EXIT)
    except CustodyError as error:
        _fail(str(error), EVIDENCE_EXIT)


@app.command()
def run(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Run the station until SIGTERM or Ctrl-C."""
    run_service(_config(config, data_dir), _stop_on_signals())


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="folder or mounted volume")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
    offload_only: Annotated[  # noqa: FBT002  # typer's form of a switch
        bool, typer.Option("--offload-only", help="leave description and upload to a later run")
    ] = False,
) -> None:
    """Take in a folder once, without udev; exit 0 when every regular file in it is sealed, 2 when there is none."""
    folder = path.absolute()
    if not folder.is_dir():
        raise ConfigError(f"{path}: a folder is needed")
    with opened(_config(config, data_dir), _stop_on_signals(), patient=False) as rooms:
        summary = ingest_folder(rooms, folder)
        nothing = summary.complete and not summary.found
        if not offload_only:
            rooms.followup.drain(rooms.stop)
        facts = {
            "complete": summary.complete and not nothing,
            "files": asdict(summary),
            "waiting": rooms.journal.waiting().block(),
            "log": {"origin": rooms.seal.origin, "size": rooms.seal.size, "root": rooms.seal.root},
        }
        words = f"{summary.sealed} of {summary.found} sealed, {summary.refused} refused, {summary.failed} failed"
        _print(facts, as_json, f"{words}; waiting: {summary_line(rooms.journal.waiting())}")
    if nothing:
        _fail(f"{path}: no file is there, so nothing was taken in", int(Outcome.COULD_NOT_CHECK))
    raise typer.Exit(0 if summary.complete else 1)


@app.command()
def status(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
    watch: Annotated[  # noqa: FBT002  # typer's form of a switch
        bool, typer.Option("--watch", help="持续显示，Ctrl-C 结束 · go on showing it, until Ctrl-C")
    ] = False,
) -> None:
    """What the station does now; when it does not run, what it remembers."""
    settings = _config(config, data_dir)
    if watch and as_json:
        raise ConfigError("give either --json or --watch")
    if watch:
        with suppress(KeyboardInterrupt):
            terminal.watch(lambda: _looked_at(settings), Console())
        return
    facts = _live_status(settings) or _remembered_status(settings)
    if as_json:
        _print(facts, as_json, "")
    else:
        _print_status(facts)


@app.command("verify-log")
def verify(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Check the station log and every sealed file in the spool; exit 0 right, 1 not as recorded, 2 nothing checked."""
    settings = _config(config, data_dir)
    first, *later = enrolment.succession_of(settings)
    witness = NoteKey.parse(settings.keys.witness)
    files = AuditedLogFiles(settings.log) if (settings.log / ENTRIES).is_file() else NoLog()
    second = first.second.key if first.second else None
    place = settings.spool, settings.journal, witness
    report = verify_log(files, settings.origin, first.note.key, *place, second, later)
    block = report.block()
    words = ", ".join(f"{word} {count}" for word, count in dict(block["files"]).items())  # type: ignore[call-overload]  # our own block
    lines = [f"{settings.origin}: {report.entries} entries; files: {words}"]
    lines += [f"{name}: {word}" for name, word in dict(block["not_verified"]).items()]  # type: ignore[call-overload]  # our own block
    lines += [f"{finding}: {detail}" for finding, detail in report.findings]
    _print(block, as_json, "\n".join(map(_printable, lines)))
    raise typer.Exit(int(report.outcome))


@app.command()
def resend(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Send the whole log to the centre again when the station next runs: for a centre that lost what it had."""
    with opened(_config(config, data_dir), threading.Event(), patient=False) as rooms:
        count = rewind(rooms.journal, rooms.seal, 0)
    _print({"entries": count}, as_json, f"{count} entries wait to be sent again")


AcceptOption = Annotated[Path | None, typer.Option("--accept", metavar="FILE", help="the centre's answer")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="where the request goes")]


@app.command()
def enrol(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    out: OutOption = None,
    accept: AcceptOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make this station's keys and ask the centre to let them in; with --accept take in its answer."""
    settings = _config(config, data_dir)
    if accept is not None:
        _accept(settings, accept, as_json=as_json)
    else:
        _asked(settings, enrolment.enrol(settings, SystemClock().now().utc_ms), out, as_json=as_json)


@app.command()
def rotate(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    out: OutOption = None,
    accept: AcceptOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make the next key and ask the centre to let it follow; with --accept it takes over from the old one."""
    settings = _config(config, data_dir)
    if accept is not None:
        _accept(settings, accept, as_json=as_json)
    else:
        _asked(settings, enrolment.rotate(settings, SystemClock().now().utc_ms), out, as_json=as_json)


@app.command()
def erase(  # noqa: PLR0913  # the options of the command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    bay: Annotated[int, typer.Option("--bay", metavar="N", help="仓位号 · the recorder in this bay")] = 0,
    recorder: Annotated[str, typer.Option("--recorder", metavar="SERIAL", help="记录仪编号 · the recorder")] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="操作人 · who orders it; stands in the record")] = "",
    dry_run: Annotated[  # noqa: FBT002  # typer's form of a switch
        bool, typer.Option("--dry-run", help="只说明，不清除 · tell every file and reason, erase nothing")
    ] = False,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Have the running station empty a recorder; exit 0 all gone that may go, 1 something is left, 2 nothing may go."""
    settings = _config(config, data_dir)
    if (bay > 0) == bool(recorder):
        raise ConfigError("give either --bay N or --recorder SERIAL")
    if not (by or dry_run):
        raise ConfigError("give --by NAME: who orders it stands in the record")
    orders, number = Orders(settings.erase_orders), new_id(SystemClock().now().utc_ms)
    answer = _answer(settings, orders.give(Order(by, bay, recorder, dry_run), number))
    lines = [f"{f['path']}: {f['words']}" for f in answer["files"]]
    lines += [f"已清除 erased: {len(answer['erased'])}, 未清除 left: {len(answer['left'])}", answer["problem"]]
    _print(answer, as_json, "\n".join(map(_printable, filter(None, lines))))
    if answer["problem"]:
        raise typer.Exit(1)
    if not (answer["erased"] or answer["left"]):
        raise typer.Exit(int(Outcome.COULD_NOT_CHECK))
    raise typer.Exit(1 if answer["left"] and not dry_run else 0)


def _answer(settings: Config, path: Path) -> dict[str, Any]:
    """What the running station did with an order. Raises ``JournalError`` where none runs; the order is taken back."""
    try:
        while not path.is_file():
            if not is_running(settings.paths.data):
                raise JournalError(
                    f"{settings.paths.data}: no station runs here; only a running one can empty a recorder"
                )
            time.sleep(_ANSWER_PAUSE_S)
    finally:
        path.with_suffix(ORDER).unlink(missing_ok=True)
    found: dict[str, Any] = json.loads(path.read_bytes())
    path.unlink()
    return found


@app.command("udev-rules")
def udev_rules(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print the udev rules that keep keyboards and the like out of the bays, for /etc/udev/rules.d."""
    sys.stdout.write(port_rules.rules(_config(config, data_dir).bay_patterns))


@app.command()
def doctor(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
    only: Annotated[str, typer.Option("--only", metavar="NAME", help="one check; its own exit status")] = "",
) -> None:
    """Check what the station needs; exit 0 when all of it is there."""
    settings = _config(config, data_dir)
    checks = _checks(settings)
    if only and only not in checks:
        raise ConfigError(f"--only {only}: there are {', '.join(checks)}")
    results = {name: _examine(check) for name, check in checks.items() if only in ("", name)}
    healthy = all(result["ok"] for result in results.values())
    lines = [f"{'ok  ' if r['ok'] else 'FAIL'} {name}: {r['detail']}" for name, r in results.items()]
    _print({"ok": healthy, "checks": results}, as_json, "\n".join(lines))
    raise typer.Exit(results[only]["exit_code"] if only else 0 if healthy else 1)


def _asked(settings: Config, asked: enrolment.Asked, out: Path | None, *, as_json: bool) -> None:
    """The request goes to a file that is carried to the centre; its fingerprint is read to two people there."""
    path = out or settings.enrolment / enrolment.REQUEST
    if out is not None:
        try:
            replace_file(out.absolute(), asked.data)
        except OSError as error:
            raise ConfigError(f"{out}: cannot be written: {error.strerror}") from error
    vkeys = [key.vkey() for key in asked.keys.note_keys]
    facts = {"request": str(path), "fingerprint": asked.fingerprint, "keyid": asked.keys.keyid, "vkeys": vkeys}
    lines = [
        f"request 登记申请: {path}",
        f"指纹（请向中心两名批准人逐组念出）: {asked.fingerprint}",
        f"fingerprint (read it group by group to the two people who approve): {asked.fingerprint}",
        *(f"vkey: {vkey}" for vkey in vkeys),
    ]
    _print(facts, as_json, "\n".join(lines))


def _accept(settings: Config, answer: Path, *, as_json: bool) -> None:
    """Taken in at once when the station does not run; a running one does it by itself."""
    try:
        data = answer.read_bytes()
    except OSError as error:
        raise ConfigError(f"{answer}: cannot be read: {error.strerror}") from error
    keys = enrolment.accept(settings, data)
    try:
        with opened(settings, threading.Event(), patient=False):
            done = True
    except JournalError:
        done = False  # the station runs and holds its folder
    words = (
        "in force 已生效"
        if done
        else "taken in; the running station goes over to it within a minute 运行中的采集站将自动启用"
    )
    _print({"keyid": keys.keyid, "done": "yes" if done else "no"}, as_json, f"key {keys.keyid}: {words}")


def _config(config: Path | None, data_dir: Path | None) -> Config:
    if (config is None) == (data_dir is None):
        raise ConfigError("give either --config FILE or --data-dir DIR")
    return load(config if config is not None else Path(data_dir or "", FILE_NAME))


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def _looked_at(settings: Config) -> tuple[Status, Status]:
    """What the running station says, and what stands beside it; of one that does not run what it remembers."""
    live = _live_status(settings)
    return (live, _asked_of_screen(settings, "/api/dock") or {}) if live else (_remembered_status(settings), {})


def _live_status(settings: Config) -> Status | None:
    """The running station's own word, or None when it does not answer."""
    found = _asked_of_screen(settings, "/api/status")
    return found if found and found.get("station") == settings.station.id else None


def _asked_of_screen(settings: Config, path: str) -> Status | None:
    if not settings.screen.port:
        return None
    address = f"http://{settings.screen.host}:{settings.screen.port}{path}"
    try:
        with urllib.request.urlopen(address, timeout=_SCREEN_TIMEOUT_S) as answer:  # always http
            found: Status = json.load(answer)
    except (urllib.error.URLError, ValueError, OSError):
        return None
    return found


def _remembered_status(settings: Config) -> Status:
    if not settings.journal.is_file():
        raise ConfigError(f"{settings.paths.data}: no station has worked here yet")
    clock = SystemClock()
    journal = Journal(settings.journal, settings.origin, lambda: new_id(clock.now().utc_ms))
    try:
        head = LogHead(settings.origin, journal.applied, "")
        link = CentreLink(online=False, since_ms=0)
        told = status_of(settings.station.id, "stopped", Board(sorted(settings.bay_patterns)), journal, head, link)
        return {**with_sandbox(told, sandbox_of(settings)), "keys": _remembered_keys(settings)}
    finally:
        journal.close()


def _remembered_keys(settings: Config) -> list[dict[str, Any]]:
    """What is known of the keys; a key that cannot be opened now hides nothing else of the status."""
    try:
        return enrolment.described(settings, enrolment.history_of(settings))
    except (AgentError, CustodyError) as error:
        return [{"use": "custody", "keyid": None, "problem": str(error)}]


def _print_status(facts: Status) -> None:
    console = Console()
    log, centre = facts["log"], facts["centre"]
    console.print(f"{facts['station']}: {facts['state']}; log {log['origin']} {log['size']} entries", highlight=False)
    table = Table("bay", "state", "recorder", "files", "warnings")
    for bay in facts["bays"]:
        files = f"{bay['files_done']}/{bay['files_total']}"
        serial = Text(_printable(bay["serial"] or "-"))
        table.add_row(str(bay["bay"]), bay["state"], serial, files, ", ".join(bay["warnings"]))
    console.print(table)
    waiting = ", ".join(f"{name} {count}" for name, count in facts["waiting"].items())
    console.print(f"centre {'online' if centre['online'] else 'offline'}; waiting: {waiting}", highlight=False)
    for key in facts.get("keys", []):
        console.print("key " + ", ".join(f"{n} {v}" for n, v in key.items() if v is not None), highlight=False)
    for trouble in facts.get("troubles", []):
        console.print(
            _printable(f"{trouble['job']} {trouble['object']}: {trouble['reason']}"), highlight=False, markup=False
        )


def _checks(settings: Config) -> dict[str, Callable[[], str]]:
    sandbox = sandbox_of(settings)
    tools = {name: functools.partial(probe, sandbox) for name, probe in TOOLS.items()}
    return {
        "sandbox": sandbox.probe,
        **tools,
        "udev": _udev,
        "udev-rules": lambda: port_rules.check_installed(settings.bay_patterns),
        "udev-loaded": lambda: port_rules.check_known(settings.bay_patterns),
        "registry": lambda: _registry(settings),
        "key": lambda: _key(settings),
        "certificates": lambda: enrolment.check_places(settings, enrolment.history_of(settings)),
        "spool": lambda: _writable(settings.paths.data),
        "store": lambda: _store(settings.store_url),
        **({"store-lock": lambda: _store_lock(settings)} if settings.store.require_lock else {}),
        "broker": lambda: _broker(settings),
        "clock": _clock,
    }


def _examine(check: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"ok": True, "detail": check(), "exit_code": 0}
    except AgentError as error:
        return {"ok": False, "detail": str(error), "exit_code": error.exit_code}


def _udev() -> str:
    if not Path("/run/udev/control").exists():
        raise AgentError("udevd does not run: docked recorders are not noticed")
    return "running"


def _registry(settings: Config) -> str:
    registry, handling = RegistryFile(settings.registry.file).current(), settings.registry.handling
    if settings.registry.file is None:
        return "none is named: every recorder is read, and none is checked"
    return f"{len(registry.recorders)} recorders, SHA-256 {registry.sha256[:16]}…; others: {handling}"


def _key(settings: Config) -> str:
    """The vkeys are what the centre needs to enrol this station."""
    place = settings.keys.custody
    about = f"{place.name}, mode {stat.S_IMODE(place.stat().st_mode):04o}" if isinstance(place, Path) else place
    history = enrolment.history_of(settings)
    vkeys = [key.vkey() for key in history.current.note_keys]
    began = f", the log began with key {history.at(0).keyid}" if len(history.spans) > 1 else ""
    return f"{about}, vkey {' and '.join(vkeys)}{began}"


def _writable(folder: Path) -> str:
    if not os.access(folder, os.W_OK):
        raise KeyFileError(f"{folder}: not writable")
    free = os.statvfs(folder)
    return f"writable, {free.f_bavail * free.f_frsize >> 30} GiB free"


def _store(url: str) -> str:
    EvidenceStore(url).check()
    return f"{url}: written and read back"


def _store_lock(settings: Config) -> str:
    """A kept proof is remembered; without one the store is proved now, which leaves small locked objects in it."""
    known = _remembered_proof(settings)
    if known and known.is_kept and known.config_sha256 == config_digest(settings.store):
        return required(known)
    now_ms = SystemClock().now().utc_ms
    return required(proof_of(settings.store, EvidenceStore(settings.store_url), Bucket(settings.store.url), now_ms))


def _remembered_proof(settings: Config) -> Proof | None:
    if not settings.journal.is_file():
        return None
    journal = Journal(settings.journal, settings.origin, lambda: new_id(SystemClock().now().utc_ms))
    try:
        return remembered_proof(journal)
    finally:
        journal.close()


def _broker(settings: Config) -> str:
    broker_of(settings).check()
    return f"{settings.mqtt.host}:{settings.mqtt.port}: reached"


def _clock() -> str:
    reading = TimeSource().reading()
    if not reading.synchronised:
        raise AgentError(f"{reading.source}: the clock is not synchronised; records say so")
    return f"{reading.source}: right to {reading.uncertainty_ms} ms"


def _print(facts: object, as_json: bool, text: str) -> None:  # noqa: FBT001  # the value of the switch
    sys.stdout.write((json.dumps(facts, ensure_ascii=False) if as_json else text) + "\n")


def _printable(line: str) -> str:
    """One line that stays one: no name from a recorder moves the cursor, turns the text round or adds a line."""
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _fail(sentence: str, code: int) -> None:
    sys.stderr.write(_printable(f"station-agent: {' '.join(sentence.split())}") + "\n")
    raise SystemExit(code)


def _log_to_stderr() -> None:
    """One line an event; standard output belongs to the commands' answers."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


if __name__ == "__main__":
    main()
