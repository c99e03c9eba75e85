"""What an audit report tells, as one JSON object; and in plain words what it does not tell. Pure.

Both pages, in both languages, are made from this object alone, so the same facts give the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from custody.verdicts import Finding, Outcome, Verdict, outcome
from ingestd.anchors.verify import Report as AnchorReport
from ingestd.audit.chain import Chain
from ingestd.audit.run import Run
from ingestd.rules.wording import Both

TYPE: Final = "bwc.audit-report/v1"
_HOUR_MS: Final = 3_600_000


def outcome_of(run: Run, anchors: AnchorReport | None, chains: Sequence[Chain]) -> Outcome:
    """The one exit code of everything in the report; no anchors are no fault where none are configured."""
    parts = [run.report.outcome, *(chain.outcome for chain in chains)]
    if anchors is not None:
        parts.append(anchors.outcome)
    words = {Outcome.NOT_AS_RECORDED: Verdict.FAILED, Outcome.COULD_NOT_CHECK: Verdict.UNCHECKED}
    return outcome(words.get(part, Verdict.VERIFIED) for part in parts)


def facts_of(  # noqa: PLR0913  # the parts of a report
    run: Run,
    anchors: AnchorReport | None,
    chains: Sequence[Chain],
    checkpoints: Mapping[str, str],
    *,
    report_id: str,
    centre: str,
    vkey: str,
    zone: str,
) -> dict[str, Any]:
    """Everything, for machines and for the pages. ``anchors`` is None where none are configured."""
    return {
        "type": TYPE,
        "id": report_id,
        "centre": centre,
        "key": vkey,
        "zone": zone,
        "outcome": int(outcome_of(run, anchors, chains)),
        "verify": run.as_json(),
        "anchors": anchors.as_json() if anchors is not None else None,
        "checkpoints": dict(checkpoints),
        "chains": [chain.as_json() for chain in chains],
    }


def findings(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whatever is not right, from every part of the report, the gravest kind first."""
    anchors = facts["anchors"] or {"findings": []}
    told = [dict(one) for one in facts["verify"]["findings"]]
    told += [{"verdict": one["finding"], "reason": one["reason"]} for one in anchors["findings"]]
    told += [{**one, "object_id": chain["clip"]} for chain in facts["chains"] for one in chain["findings"]]
    unique = {tuple(sorted(one.items())): one for one in told}.values()
    lesser = {Verdict.UNREADABLE, Verdict.UNCHECKED, Finding.UNPARSABLE, Finding.NOTHING_CHECKED}
    return sorted(unique, key=lambda one: one["verdict"] in lesser)


def checked_nothing(facts: Mapping[str, Any]) -> bool:
    """Whether not one original was verified."""
    return not facts["verify"]["verified"]


def not_checked(facts: Mapping[str, Any]) -> list[Both]:
    """What nobody may read into this report, in plain words."""
    return [*_originals(facts["verify"]), *_selection(facts["verify"]), *_anchors(facts), *_ALWAYS]


def _originals(verify: Mapping[str, Any]) -> list[Both]:
    said = []
    rest = verify["announced"] - verify["selected"]
    if rest:
        said.append(
            Both(
                f"{verify['announced']} 个原始文件中有 {rest} 个未被重新读取，本报告对其内容不作任何说明。",
                f"{rest} of {verify['announced']} originals were not re-read; nothing is said of their content.",
            )
        )
    if verify["unchecked"]:
        said.append(
            Both(
                f"选取的文件中有 {verify['unchecked']} 个无法核验（无法读取或尚未到达）。",
                f"{verify['unchecked']} of the selected files could not be checked (unreadable or on their way).",
            )
        )
    if verify["earlier"]:
        count = verify["earlier"]["count"]
        said.append(
            Both(
                f"{count} 项结果取自此前中断的核验，保存在未签名的文件中，本次没有重新读取。",
                f"{count} results are of an interrupted run, kept in an unsigned file, and were not read again.",
            )
        )
    return said


def _selection(verify: Mapping[str, Any]) -> list[Both]:
    said, asked = [], verify["selection"]
    if "unit" in asked or "officer" in asked:
        said.append(
            Both(
                "单位和人员取自数据库，数据库不是证据：未列入的文件不在本报告范围内。",
                "Unit and officer were taken from the database, which is no evidence: what it left out is not covered.",
            )
        )
    if "from" in asked or "to" in asked:
        said.append(
            Both(
                "日期是签名记录中所述的录制日期；录制日期不明的，按采集日期。记录仪的时钟未经核实。",
                "Days are those of recording as signed, else of docking; what recorder clocks say is a claim.",
            )
        )
    if asked.get("seed_drawn") == "yes":
        said.append(
            Both(
                "抽样种子由本系统抽取。如需确信没有反复抽取，请由审计人员自行给出种子。",
                "This system drew the seed; who wants more than its word brings a seed of their own.",
            )
        )
    return said


def _anchors(facts: Mapping[str, Any]) -> list[Both]:
    if facts["anchors"] is not None:
        return []
    return [
        Both(
            "没有外部锚定：同时掌握采集站和中心密钥的内部人员改写全部历史，本报告发现不了。",
            "There is no anchor outside: an insider with the keys of stations and centre could have rewritten all"
            " of the past, and this report would not show it.",
        )
    ]


_ALWAYS: Final = (
    Both(
        "记录仪接入采集站之前发生的事；记录仪所述的时间和人员只是它自己的说法。",
        "Nothing before a recorder was docked; what a recorder says of its time and its officer is its own claim.",
    ),
    Both(
        "只重新计算了 SHA-256；SM3 未重新计算。读取经过操作系统，可能来自内存缓存而不是磁盘。",
        "Only SHA-256 was computed again, not SM3. Files were read through the operating system, perhaps from its"
        " memory and not from the disk.",
    ),
    Both(
        "数据库只核对了它所知的日志长度和根；逐行比对是另一项检查。",
        "The database was held against the log only as to length and root; comparing it row by row is another check.",
    ),
)
