"""``link run`` and ``coverage show``: deciding anew where clips belong, and what of one act is on video."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any, Final

import typer

from ingestd import service
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.coverage import WHOLE_PPM
from ingestd.errors import RefusedError
from ingestd.index.queries import ActionDetail
from ingestd.model import Coverage, Flag, Link
from ingestd.relinking import Relinked, Wanted
from ingestd.rules.wording import REASONS, Both

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def run_links(  # noqa: PLR0913  # options of one command
    config: ConfigOption = None,
    data_dir: DataOption = None,
    every: Annotated[bool, typer.Option("--all", help="All clips and actions (the default).")] = False,  # noqa: FBT002  # typer's form of a switch
    action: Annotated[str, typer.Option("--action", help="One action, and every clip that it may concern.")] = "",
    clip: Annotated[str, typer.Option("--clip", help="One clip, and the actions it is or becomes linked to.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Decide anew which clips belong to which actions, and say exactly what changed. What people decided stays."""
    if sum((every, bool(action), bool(clip))) > 1:
        raise typer.BadParameter("--all, --action and --clip exclude each other")
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        found = centre.pipeline.relink(Wanted(clip, action), dry_run=dry_run)
    finally:
        centre.engine.dispose()
    show(_relinked_facts(found, dry_run=dry_run), as_json, lambda: _relinked_lines(found, dry_run=dry_run))


def show_coverage(
    action: Annotated[str, typer.Argument(help="Id of the action.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Say how much of an action is on usable video, and list every gap with its reason."""
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        found = centre.queries.action(action)
    finally:
        centre.engine.dispose()
    if found is None:
        raise RefusedError(f"there is no action {action}")
    if found.coverage is None:
        raise RefusedError(f"action {action} could not be judged yet; its flag says why (`ingestd flags list`)")
    coverage = found.coverage
    facts = coverage_facts(found, coverage, loaded.zone)
    show(facts, as_json, lambda: _coverage_lines(facts))


def coverage_facts(found: ActionDetail, coverage: Coverage, zone: tzinfo) -> dict[str, Any]:
    """What ``coverage show --json`` prints: shares of the whole between 0 and 1, times in ``zone`` with its offset."""
    return {
        "action": coverage.action_id,
        "level": found.action.level.value,
        "nominal": coverage.nominal_ppm / WHOLE_PPM,
        "guaranteed": coverage.guaranteed_ppm / WHOLE_PPM,
        "gaps": [
            {
                "start": _moment(gap.interval.start_ms, zone),
                "end": _moment(gap.interval.end_ms, zone),
                "reason": gap.reason,
            }
            for gap in coverage.gaps
        ],
    }


def _moment(at_ms: int, zone: tzinfo) -> str:
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).isoformat(timespec="milliseconds")


def _coverage_lines(facts: dict[str, Any]) -> list[str]:
    head = (
        f"{facts['action']}\t{facts['level']}\tnominal 名义覆盖 {facts['nominal']:.4%}"
        f"\tguaranteed 保证覆盖 {facts['guaranteed']:.4%}\tgaps 缺口 {len(facts['gaps'])}"
    )
    gaps = (
        f"{gap['start']}\t{gap['end']}\t{_spoken(REASONS.get(gap['reason']), gap['reason'])}" for gap in facts["gaps"]
    )
    return [head, *gaps]


def _spoken(words: Both | None, otherwise: str) -> str:
    return f"{words.en} {words.zh}" if words else otherwise


def _relinked_facts(found: Relinked, *, dry_run: bool) -> dict[str, Any]:
    return {
        "ok": True,
        "dry_run": dry_run,
        "changed": not found.nothing,
        "looked_at": {"clips": found.clips, "actions": found.actions},
        "linked": [asdict(one) for one in found.linked],
        "unlinked": [{**asdict(one), "reason": reason} for one, reason in found.unlinked],
        "officers": found.officers,
        "suggestions": {clip: [asdict(one) for one in ones] for clip, ones in found.suggested.items()},
        "coverage": {
            key: {"nominal": one.nominal_ppm / WHOLE_PPM, "guaranteed": one.guaranteed_ppm / WHOLE_PPM}
            for key, one in found.covered.items()
        },
        "flags": {
            "set": _ids(found.flags_set),
            "changed": _ids(found.flags_changed),
            "cleared": _ids(found.flags_cleared),
        },
        "undecidable": {"clips": found.odd_clips, "actions": found.odd_actions},
    }


def _ids(flags: Iterable[Flag]) -> list[str]:
    return [flag.flag_id for flag in flags]


def _relinked_lines(found: Relinked, *, dry_run: bool) -> list[str]:
    looked = f"{found.clips} clips 片段, {found.actions} actions 行为"
    if found.nothing:
        return [f"nothing to change 无变化: {looked}"]
    return [
        f"{'would change 将变更' if dry_run else 'changed 已变更'}: {looked}",
        *(f"officer 佩戴人\t{clip}\t{officer or '-'}" for clip, officer in found.officers.items()),
        *(_link_line("linked 关联", one, ", ".join(one.reasons)) for one in found.linked),
        *(_link_line("unlinked 解除关联", one, reason) for one, reason in found.unlinked),
        *(
            f"suggested 建议\t{clip}\t{', '.join(one.action_id for one in ones) or '-'}"
            for clip, ones in found.suggested.items()
        ),
        *(
            f"coverage 覆盖\t{key}\t{one.nominal_ppm / WHOLE_PPM:.4%}\t{one.guaranteed_ppm / WHOLE_PPM:.4%}"
            for key, one in found.covered.items()
        ),
        *(f"flag set 新疑点\t{key}" for key in _ids(found.flags_set)),
        *(f"flag changed 疑点变更\t{key}" for key in _ids(found.flags_changed)),
        *(f"flag cleared 疑点撤销\t{key}" for key in _ids(found.flags_cleared)),
        *(f"cannot be judged 无法判断\t{key}" for key in (*found.odd_clips, *found.odd_actions)),
    ]


def _link_line(what: str, one: Link, why: str) -> str:
    return f"{what}\t{one.object_id}\t{one.action_id}\t{one.method}\t{one.score}\t{why}"
