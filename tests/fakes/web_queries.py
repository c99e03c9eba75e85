"""An index in memory with the demo's story in it: a seizure with a hole, a demolition without video, an inspection.

``FakeQueries`` keeps the promises of ``ingestd.index.queries.Queries`` that pages rely on: order, paging and filters.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from custody.canonical import JsonObject
from custody.identifiers import uuid7
from custody.layout import original_name, proxy_name
from ingestd.errors import ObjectMissingError
from ingestd.index.acts import ActionFilter
from ingestd.index.queries import (
    PAGE_ROWS,
    ActionDetail,
    ActionRow,
    CaseRow,
    ClipCounts,
    ClipDetail,
    ClipFilter,
    ClipRow,
    CustodyEvent,
    DisposalRow,
    FileRow,
    FlagRow,
    HoldRow,
    LinkRow,
    LogState,
    Page,
    PlanDetail,
    ProxyRow,
    SuggestionRow,
    Summary,
)
from ingestd.model import Case, Coverage, EnforcementAction, Flag, Gap, Interval, Level, MediaKind, Position
from ingestd.rules import Policy, TypeName, evaluate
from ingestd.rules.wording import Both

ZONE = ZoneInfo("Asia/Shanghai")
HOSTILE = '"><script>alert(1)</script>\n../../etc/passwd'
SHOWN_HOSTILE = HOSTILE.replace("\n", "\N{REPLACEMENT CHARACTER}")
TYPES = {
    "seizure": TypeName(
        Both("查封扣押", "Sealing or seizure of property"), "运政办〔2019〕3号 一（二）2；行政强制法 第十八条"
    ),
    "demolition": TypeName(Both("强制拆除", "Forced demolition"), "运政办〔2019〕3号 一（二）2"),
    "inspection": TypeName(Both("现场检查", "Inspection on the scene")),
}
_LINKABLE = {MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.IMAGE}
_DAY_MS = 86_400_000

T = TypeVar("T")


def at(text: str) -> int:
    """Milliseconds of a local time in November 2026, such as ``20 09:00:00``."""
    day, clock = text.split()
    return int(datetime.fromisoformat(f"2026-11-{day}T{clock}").replace(tzinfo=ZONE).timestamp() * 1000)


def object_id(number: int) -> str:
    """A stable object id."""
    return uuid7(at("20 18:05:00") + number, number.to_bytes(10, "big"))


def digest(text: str) -> str:
    """A stable hex digest."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class FakeQueries:
    """The index of the story; tests may change its lists."""

    details: list[ClipDetail] = field(default_factory=list)
    acts: list[ActionDetail] = field(default_factory=list)
    planned: list[PlanDetail] = field(default_factory=list)
    raised: list[FlagRow] = field(default_factory=list)
    fails_with: Exception | None = None
    asked: list[ClipFilter] = field(default_factory=list)
    acts_asked: list[ActionFilter] = field(default_factory=list)
    messages_quarantined: int = 0
    found_more: int = 0
    seen: list[FileRow] = field(default_factory=list)

    def summary(self) -> Summary:
        self._check()
        rows = [detail.row for detail in self.details]
        linkable = [row for row in rows if row.status == "indexed" and row.kind in _LINKABLE]
        linked = sum(1 for row in linkable if row.links)
        counts = ClipCounts(
            found=len(rows) + self.found_more + len(self.seen),
            offloaded=len(rows),
            failed=sum(file.state == "failed" for file in self.seen),
            verified=sum(row.verdict == "verified" for row in rows),
            indexed=sum(row.status == "indexed" for row in rows),
            linked=linked,
            unlinked=len(linkable) - linked,
            quarantined=sum(row.status == "quarantined" for row in rows),
        )
        open_flags = sum(flag.state == "open" for flag in self.raised)
        log = LogState("custody.example/centre", 61, "4Yw1m0Kq2b7n9TzXc3vB5sD8fG1hJ6kL0pQrStUvWxY=")
        return Summary(counts, open_flags, self.messages_quarantined, log)

    def clips(
        self, wanted: ClipFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ClipRow]:
        self._check()
        wanted = wanted or ClipFilter()
        self.asked.append(wanted)
        rows = [detail.row for detail in self.details if fits(detail.row, wanted)]
        return page_of(sorted(rows, key=lambda row: -row.copied_ms), lambda row: row.object_id, after, limit)

    def clip(self, object_id: str) -> ClipDetail | None:
        self._check()
        return next((detail for detail in self.details if detail.row.object_id == object_id), None)

    def flags(
        self, state: str = "open", rule: str = "", action_id: str = "", after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[FlagRow]:
        self._check()
        rows = [
            flag
            for flag in self.raised
            if state in {"", flag.state} and rule in {"", flag.rule} and action_id in {"", flag.action_id}
        ]
        return page_of(rows, lambda row: row.flag_id, after, limit)

    def flag(self, flag_id: str) -> FlagRow | None:
        self._check()
        return next((flag for flag in self.raised if flag.flag_id == flag_id), None)

    def cases(self, after: str | None = None, limit: int = PAGE_ROWS) -> Page[CaseRow]:
        self._check()
        cases = {act.action.case: act.case for act in self.acts if act.case}
        return page_of([CaseRow(case, 1, 0) for case in cases.values()], lambda row: row.case.number, after, limit)

    def holds(self) -> list[HoldRow]:
        self._check()
        return []

    def disposals(self) -> list[DisposalRow]:
        self._check()
        return []

    def reviews(self) -> list[dict[str, Any]]:
        self._check()
        return []

    def decisions(self) -> list[dict[str, Any]]:
        self._check()
        return []

    def files(self, state: str, after: str | None = None, limit: int = PAGE_ROWS) -> Page[FileRow]:
        self._check()
        return page_of([row for row in self.seen if row.state == state], lambda row: row.file_id, after, limit)

    def actions(
        self, wanted: ActionFilter | None = None, after: str | None = None, limit: int = PAGE_ROWS
    ) -> Page[ActionRow]:
        self._check()
        self.acts_asked.append(wanted or ActionFilter())
        rows = [_row(act) for act in self.acts if self.acts_asked[-1].case in {"", act.action.case}]
        return page_of(rows, lambda row: row.action.action_id, after, limit)

    def action(self, action_id: str) -> ActionDetail | None:
        self._check()
        return next((act for act in self.acts if act.action.action_id == action_id), None)

    def plan(self, action_id: str) -> PlanDetail | None:
        self._check()
        return next((one for one in self.planned if one.plan.action_id == action_id), None)

    def _check(self) -> None:
        if self.fails_with:
            raise self.fails_with


@dataclass(slots=True)
class FakeMedia:
    """A store in memory that remembers which ranges were read."""

    objects: dict[str, bytes] = field(default_factory=dict)
    reads: list[tuple[int, int]] = field(default_factory=list)

    def read_range(self, name: str, start: int, end: int) -> bytes:
        if name not in self.objects:
            raise ObjectMissingError(f"store has no {name}")
        self.reads.append((start, end))
        return self.objects[name][start:end]


def stored(index: FakeQueries) -> FakeMedia:
    """A store that holds every proxy of ``index``; the bytes are no film."""
    proxies = [proxy for detail in index.details for proxy in detail.proxies]
    return FakeMedia({proxy.name: bytes(proxy.size_bytes) for proxy in proxies})


def fits(row: ClipRow, wanted: ClipFilter) -> bool:
    """Whether the filter lets a clip through."""
    if wanted.linked is not None:
        linkable = row.status == "indexed" and row.kind in _LINKABLE
        if not linkable or bool(row.links) is not wanted.linked:
            return False
    plain = ("status", "verdict", "station", "recorder", "officer")
    if any(getattr(wanted, name) not in {"", getattr(row, name)} for name in plain):
        return False
    if wanted.kind and row.kind != wanted.kind:
        return False
    if wanted.from_ms is not None and (row.end_ms is None or row.end_ms < wanted.from_ms):
        return False
    if wanted.until_ms is not None and (row.start_ms is None or row.start_ms >= wanted.until_ms):
        return False
    return wanted.text in row.path or wanted.text in row.object_id


def page_of(rows: Sequence[T], key: Callable[[T], str], after: str | None, limit: int) -> Page[T]:
    """A page of rows by keyset."""
    start = next((i + 1 for i, row in enumerate(rows) if key(row) == after), 0)
    chosen = tuple(rows[start : start + limit])
    return Page(chosen, key(chosen[-1]) if start + limit < len(rows) else None)


def clip(number: int, path: str, start: str | None, minutes: float, **changes: Any) -> ClipDetail:
    """One clip of the story."""
    start_ms = None if start is None else at(start)
    row = ClipRow(
        object_id=object_id(number),
        station="station-07",
        recorder="BWC0001",
        path=path,
        kind=MediaKind.VIDEO,
        status="indexed",
        reason="",
        start_ms=start_ms,
        end_ms=None if start_ms is None else start_ms + int(minutes * 60_000),
        uncertainty_ms=4_000,
        officer="140801023",
        officer_name="王建国",
        officer_source="ledger",
        case_stated="",
        size_bytes=int(minutes * 30_000_000) + number,
        sha256=digest(path),
        verdict="verified",
        copied_ms=at("20 18:05:00") + number * 1000,
        links=0,
        suggestions=0,
        problems=(),
    )
    row = replace(row, **changes)
    return ClipDetail(
        row=row,
        name=original_name(row.object_id, row.copied_ms, "MP4"),
        media_type="video/mp4",
        digests={"sha256": row.sha256},
        place=Position(350_263_411, 1_110_071_253, 8) if row.kind is MediaKind.VIDEO else None,
        media=media_of(row),
        links=(),
        suggestions=(),
        proxies=proxies_of(row),
        events=events_of(row),
    )


def media_of(row: ClipRow) -> JsonObject | None:
    """The signed media block; the recorder's clock is 94 s fast."""
    if row.start_ms is None:
        return None
    stated = row.start_ms + 94_000
    return {
        "kind": str(row.kind),
        "start": {"utc_ms": stated, "source": "file-name", "clock": "device", "uncertainty_ms": 1000},
        "clock": {"offset_ms": 94_000, "uncertainty_ms": 3000, "method": "connect-write"},
        "times": [
            {"source": "file-name", "raw": "20261120090134", "zone": "Asia/Shanghai", "utc_ms": stated},
            {"source": "container", "raw": "2026-11-20T09:01:34Z", "zone": "UTC", "utc_ms": stated + 8 * 3_600_000},
        ],
        "video": {"codec": "h264", "width": 1920, "height": 1080, "rate_milli": 30_000},
        "audio": {"codec": "aac", "rate_hz": 48_000, "channels": 1},
    }


def proxies_of(row: ClipRow) -> tuple[ProxyRow, ...]:
    """One proxy for each video that can be opened."""
    if row.kind is not MediaKind.VIDEO or row.status != "indexed":
        return ()
    proxy_id = row.object_id[:-1] + ("e" if row.object_id[-1] != "e" else "f")
    return (ProxyRow(proxy_id, proxy_name(proxy_id, row.copied_ms), "video/mp4", 3_000_000, digest("p" + row.path)),)


def events_of(row: ClipRow) -> tuple[CustodyEvent, ...]:
    """The chain of a clip that came through."""
    station, centre = "custody.example/station-07", "custody.example/centre"
    steps = [
        ("ingest.seen", -8000, station, 2),
        ("ingest.copied", 0, station, 7),
        ("media.described", 4000, station, 19),
        ("proxy.created", 21_000, station, 26),
    ]
    if row.verdict == "verified":
        steps.append(("central.verified", 26_000, centre, 12))
    if row.links:
        steps.append(("case.linked", 27_000, centre, 13))
    return tuple(
        CustodyEvent(event, row.copied_ms + late, log, seq, digest(event + row.path), digest(log)[:16])
        for event, late, log, seq in steps
    )


def story() -> FakeQueries:
    """The demo's week."""
    wang, li = {"officer": "140801023", "officer_name": "王建国"}, {"officer": "140801057", "officer_name": "李秀英"}
    zhao = {"officer": "140801112", "officer_name": "赵敏"}
    two = {"recorder": "BWC0002"}
    details = [
        clip(1, "DCIM/0001/BWC0001_140801_20261120090134.MP4", "20 09:00:00", 14, links=1, **wang),
        clip(2, "DCIM/0001/BWC0001_140801_20261120093204.MP4", "20 09:30:30", 11, links=1, **wang),
        clip(3, "DCIM/0001/BWC0002_140802_20261120090301.MP4", "20 09:02:00", 16, links=1, **li, **two),
        clip(4, "DCIM/0001/BWC0002_140802_20261120140512.MP4", "20 14:04:00", 22, links=1, **li, **two),
        clip(5, "DCIM/0002/BWC0001_140801_20261120213007.MP4", "20 21:28:30", 3, suggestions=1, **wang),
        clip(6, "DCIM/0001/BWC0003_140803_20261120101500.MP4", "20 10:15:00", 6, recorder="BWC0003", **zhao),
        clip(7, "DCIM/0001/VOICE_20261120141000.WAV", "20 14:10:00", 9, kind=MediaKind.AUDIO, links=1, **li, **two),
        _held(8, "DCIM/0001/BWC0002_140802_20261120154400.MP4", "unreadable-media", MediaKind.VIDEO, ("moov-missing",)),
        _held(9, "DCIM/0001/BWC0003_140803_20261120160000.MP4", "zero-byte", MediaKind.EMPTY, ()),
        clip(10, SHOWN_HOSTILE, "20 16:40:00", 2, officer="", officer_name="", officer_source="", verdict="unchecked"),
    ]
    acts = [
        _act("XZ-2026-0117-01", "seizure", "20 09:00:00", 42, ("140801023", "140801057"), _SEIZURE, details[:3]),
        _act("XZ-2026-0121-01", "demolition", "20 20:30:00", 55, ("140801023", "140801112"), _NOTHING, []),
        _act("XZ-2026-0125-01", "inspection", "20 14:00:00", 30, ("140801057",), _INSPECTION, [details[3], details[6]]),
    ]
    acts[1] = replace(
        acts[1],
        suggestions=(_suggestion(acts[1], details[4]),),
        clips={details[4].row.object_id: details[4].row},
    )
    details[4] = replace(details[4], suggestions=acts[1].suggestions)
    for act in acts:
        for link in act.links:
            number = next(i for i, d in enumerate(details) if d.row.object_id == link.object_id)
            details[number] = replace(details[number], links=(link,))
    planned = replace(acts[0].action, action_id="JH-2026-0007", interval=Interval(at("27 09:00:00"), at("27 10:00:00")))
    plan = PlanDetail(planned, acts[0].case, acts[0].officer_names, ())
    return FakeQueries(details, acts, [plan], [flag for act in acts for flag in act.flags])


def _held(number: int, path: str, reason: str, kind: MediaKind, problems: tuple[str, ...]) -> ClipDetail:
    size = 0 if reason == "zero-byte" else 7_340_032
    changes = {"status": "quarantined", "reason": reason, "kind": kind, "problems": problems, "size_bytes": size}
    return clip(number, path, None, 0, recorder="BWC0003", **changes)


_SEIZURE = (("20 09:18:00", "20 09:30:30", "no-clip"), ("20 09:41:30", "20 09:42:00", "clip-truncated"))
_NOTHING = (("20 20:30:00", "20 21:25:00", "no-clip"),)
_INSPECTION = (("20 14:00:00", "20 14:04:00", "no-clip"), ("20 14:26:00", "20 14:30:00", "no-clip"))


def _act(
    action_id: str,
    kind: str,
    start: str,
    minutes: int,
    officers: tuple[str, ...],
    holes: tuple[tuple[str, str, str], ...],
    clips: list[ClipDetail],
) -> ActionDetail:
    level = Level.SPECIFIED if kind == "inspection" else Level.FULL
    window = Interval(at(start), at(start) + minutes * 60_000)
    action = EnforcementAction(action_id, action_id[:12], kind, level, window, officers)
    gaps = tuple(Gap(Interval(at(a), at(b)), why) for a, b, why in holes)
    nominal = 1_000_000 - sum(g.interval.length_ms for g in gaps) * 1_000_000 // window.length_ms
    usable = tuple(c.row.object_id for c in clips if c.row.kind is MediaKind.VIDEO)
    coverage = Coverage(action_id, nominal, max(0, nominal - 12_000), gaps, usable)
    policy = Policy(types=TYPES)
    flags = tuple(_raised(f, window.end_ms + policy.grace_ms) for f in evaluate(action, coverage, 1 << 42, policy))
    return ActionDetail(
        action=action,
        case=Case(action_id[:12], {"seizure": "无证经营食品案", "demolition": "违法建设案"}.get(kind, "日常检查")),
        officer_names={"140801023": "王建国", "140801057": "李秀英", "140801112": "赵敏"},
        coverage=coverage,
        links=tuple(_link(action, c) for c in clips),
        suggestions=(),
        flags=flags,
        clips={c.row.object_id: c.row for c in clips},
    )


def _link(action: EnforcementAction, detail: ClipDetail) -> LinkRow:
    return LinkRow(
        object_id=detail.row.object_id,
        action_id=action.action_id,
        action_type=action.type,
        case=action.case,
        case_title="无证经营食品案",
        method="officer-time",
        score=90,
        reasons=("officer-ledger", "time-overlaps", "place-confirms"),
        rule_version="link/1",
        log_seq=13,
    )


def _suggestion(act: ActionDetail, detail: ClipDetail) -> SuggestionRow:
    action = act.action
    reasons = ("officer-ledger", "margin-only")
    return SuggestionRow(detail.row.object_id, action.action_id, action.type, action.case, "违法建设案", 40, reasons)


def _raised(flag: Flag, set_ms: int) -> FlagRow:
    return FlagRow(
        flag_id=flag.flag_id,
        rule=flag.rule,
        rule_version=flag.rule_version,
        state="open",
        action_id=flag.action_id,
        case=flag.case,
        article=flag.article,
        detail=flag.detail,
        set_ms=set_ms,
        changed_ms=set_ms,
        cleared_ms=None,
        log_seq=41,
        inputs=flag.inputs,
    )


def _row(act: ActionDetail) -> ActionRow:
    coverage = act.coverage
    return ActionRow(
        action=act.action,
        case_title=act.case.title if act.case else "",
        nominal_ppm=coverage.nominal_ppm if coverage else None,
        guaranteed_ppm=coverage.guaranteed_ppm if coverage else None,
        links=len(act.links),
        open_flags=sum(flag.state == "open" for flag in act.flags),
    )
