"""``ingestd decisions …`` and ``ingestd disclosure …``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ingestd import service
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, moment_of, show
from ingestd.decisions import Person
from ingestd.disclosure import build, site
from ingestd.disclosure.content import Settled
from ingestd.disclosure.decide import KINDS, Kind, Made, PartyKind, Withheld, record, withdraw
from ingestd.disclosure.due import Due, due
from ingestd.errors import RefusedError
from ingestd.index.decided import decisions
from ingestd.people_commands import By, Why, decide
from ingestd.premises import SystemClock

_FIRST: Final = 1949


def record_decision(  # noqa: PLR0913  # options of one command
    case: Annotated[str, typer.Argument(help="Number of the case 案号.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What was decided 执法类别.")],
    made: Annotated[str, typer.Option("--made", help="Day of the decision, YYYY-MM-DD, or with its time.")],
    party_kind: Annotated[PartyKind, typer.Option("--party-kind", help="A person's name is masked on the site.")],
    party: Annotated[str, typer.Option("--party", help="Whom it concerns 执法对象.")],
    title: Annotated[str, typer.Option("--title", help="Subject 案由.")],
    conclusion: Annotated[str, typer.Option("--conclusion", help="What it says 执法结论.")],
    by: By,
    reason: Why,
    unit: Annotated[str, typer.Option("--unit", help="Unit that decided.")] = "",
    major: Annotated[bool, typer.Option("--major", help="A major decision 重大执法决定; needs --review.")] = False,  # noqa: FBT002  # typer's form of a switch
    review: Annotated[str, typer.Option("--review", help="Id of the legal review that was passed.")] = "",
    withhold: Annotated[Withheld | None, typer.Option("--withhold", help="Why it is not published.")] = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Record a decision of a case (行政执法决定). A major one is refused without its legal review."""
    loaded = load_config(config, data_dir)
    made_ms = moment_of("--made", made, loaded.zone)
    told = Made(case, kind, made_ms, party, party_kind, title, conclusion, unit, major, review, withhold)
    decide(loaded, record(told, Person(by, reason)), as_json)


def withdraw_decision(  # noqa: PLR0913  # options of one command
    decision: Annotated[str, typer.Argument(help="Id of the decision.")],
    on: Annotated[str, typer.Option("--on", help="Day since when it no longer stands, YYYY-MM-DD, or with its time.")],
    by: By,
    reason: Why,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Say that a decision no longer stands; what is published of it is to come down within three working days."""
    loaded = load_config(config, data_dir)
    decide(loaded, withdraw(decision, moment_of("--on", on, loaded.zone), Person(by, reason)), as_json)


def list_decisions(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """List decisions, newest first."""
    loaded = load_config(config, data_dir)
    centre = service.index(loaded)
    try:
        rows = centre.queries.read(decisions)
    finally:
        centre.engine.dispose()
    show({"decisions": rows, "count": len(rows)}, as_json, lambda: [_decision_line(row, loaded) for row in rows])


def list_due(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """List what is to be published or taken down, and by when. Exit 1 when something is overdue."""
    loaded = load_config(config, data_dir)
    centre = service.index(loaded)
    try:
        policy = service.policy(loaded, centre.catalogue)
        found = due(centre.queries.read(decisions), SystemClock().now_ms(), policy)
    finally:
        centre.engine.dispose()
    facts = {"due": [_due_facts(one) for one in found], "overdue": sum(one.overdue for one in found)}
    show(facts, as_json, lambda: [_due_line(one) for one in found] or ["没有待公示的决定 nothing is due"])
    raise typer.Exit(1 if facts["overdue"] else 0)


def build_site(
    out: Annotated[Path, typer.Option("--out", help="Folder of the site; replaced when a build made it.")],
    by: By,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Build the public site and its data (执法结果网上查询); what is new on it or gone from it is entered."""
    loaded, out, person = load_config(config, data_dir), out.absolute(), Person(by, "build")
    if not loaded.disclosure.agency:
        raise RefusedError("[disclosure] agency: the name under which the site stands is needed")
    centre, now_ms = service.build(loaded), SystemClock().now_ms()
    try:
        policy, settled = service.policy(loaded, centre.catalogue), settled_of(loaded)
        steps = loaded.disclosure.steps
        made = centre.queries.read(lambda db: build.read(db, settled, centre.catalogue, steps, policy, now_ms))
        shown = {one["id"] for one in made.decisions}
        content = site.files(made)
        sha256 = site.digest(content)
        site.replace_folder(out, content)
        actors = [{"role": "person", "id": person.name}]
        entries = centre.pipeline.decide(
            lambda repository, _now_ms: build.told(
                repository.decided.decisions(), sha256, list(actors), lambda row: row["decision_id"] in shown
            )
        )
    finally:
        centre.engine.dispose()
    facts = {
        "ok": True,
        "folder": str(out),
        "decisions": len(made.decisions),
        "sha256": sha256,
        "entries": len(entries),
    }
    show(facts, as_json, lambda: [f"{out}: {len(made.decisions)} 件决定 decisions, sha256 {sha256}"])


def annual(
    year: Annotated[int, typer.Argument(help="The year.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Print the figures of a year (统计年报), which are due on 15 January of the next."""
    loaded, now_ms = load_config(config, data_dir), SystemClock().now_ms()
    if not _FIRST <= year <= datetime.now(tz=loaded.zone).year:
        raise RefusedError(f"{year}: a year that has begun is needed")
    centre = service.index(loaded)
    try:
        policy = service.policy(loaded, centre.catalogue)
        found = centre.queries.read(lambda db: build.year_figures(db, decisions(db), year, policy, now_ms))
    finally:
        centre.engine.dispose()
    facts = {**found, "due": f"{year + 1}-01-15"}
    show(facts, as_json, lambda: [f"{name}\t{value}" for name, value in facts.items()])


def settled_of(config: Config) -> Settled:
    """What the agency has settled about publication."""
    return Settled(tuple(config.disclosure.fields), config.disclosure.agency, config.zone)


def _decision_line(row: dict[str, Any], config: Config) -> str:
    day = datetime.fromtimestamp(row["made_ms"] // 1000, UTC).astimezone(config.zone)
    kind = KINDS[Kind(row["kind"])].zh
    return "\t".join((row["decision_id"], f"{day:%Y-%m-%d}", row["case_number"], kind, row["title"], _state(row)))


def _state(row: dict[str, Any]) -> str:
    if row["withdrawn_ms"] is not None:
        return "已撤销 withdrawn"
    if row["withheld"]:
        return f"不予公开 withheld: {row['withheld']}"
    return "待公示 to be published" if row["published_ms"] is None else "已公示 published"


def _due_facts(one: Due) -> dict[str, Any]:
    return {
        "decision": one.fact.subject,
        "case": one.fact.case,
        "kind": one.fact.kind.value,
        "by": one.by.day.isoformat(),
        "provisional": one.by.provisional,
        "overdue": one.overdue,
    }


def _due_line(one: Due) -> str:
    told = "逾期 overdue" if one.overdue else ("暂定 provisional" if one.by.provisional else "")
    return f"{one.by.day}\t{one.fact.kind.value}\t{one.fact.case}\t{one.fact.subject}\t{told}"
