"""The tables an import may hold, their columns, and every heading under which a column is known."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ingestd.rules.wording import Both


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in JSON, what it holds, and the other headings it goes by."""

    name: str
    holds: Both
    required: bool
    also: tuple[str, ...]

    @property
    def headings(self) -> tuple[str, ...]:
        """Every heading that means this column."""
        return (self.name, *self.also)


@dataclass(frozen=True, slots=True)
class Source:
    """How one source of files calls our columns, beside the headings that are known anyway."""

    name: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    """A column's name by ``heading_key``; an empty name for a column that is to be passed over."""

    @classmethod
    def of(cls, name: str, columns: Mapping[str, str]) -> "Source":
        """From headings as they stand in the source's files."""
        return cls(name, {heading_key(heading): column for heading, column in columns.items()})

    def plain(self, heading: str) -> str:
        """The heading as our tables know it; empty when it is to be passed over."""
        return self.columns.get(heading_key(heading), heading) if self.columns else heading


@dataclass(frozen=True)
class Table:
    """One kind of row: its key in JSON, its names and its columns."""

    name: str
    title: Both
    columns: tuple[Column, ...]

    def column_of(self, heading: str) -> Column | None:
        """The column a heading means, or None when the table has no such column."""
        return self._by_key.get(heading_key(heading))

    @cached_property
    def _by_key(self) -> Mapping[str, Column]:
        return {heading_key(heading): column for column in reversed(self.columns) for heading in column.headings}

    def missing(self, headings: Sequence[str]) -> list[Column]:
        """Required columns for which there is no heading."""
        found = {column.name for heading in headings if (column := self.column_of(heading))}
        return [column for column in self.columns if column.required and column.name not in found]


def heading_key(heading: str) -> str:
    """A heading as people mean it: width, case, spaces, ``_ - *`` and a remark in brackets make no difference."""
    plain = re.sub(r"\([^()]*\)", "", unicodedata.normalize("NFKC", heading).casefold())
    return re.sub(r"[\s_*\-\ufeff:]+", "", plain)


def recognise(headings: Sequence[str]) -> Table | None:
    """The table that the headings most nearly are, if none of its required columns is missing.

    A table of acts that lacks a column is not taken for a table of cases, of which it happens to have all columns: half
    of what it says would be lost.
    """
    nearest = closest(headings)
    return None if nearest.missing(headings) else nearest


def closest(headings: Sequence[str]) -> Table:
    """The table that knows most of the headings; among equals the one that misses fewest."""
    return max(TABLES, key=lambda table: (_known(table, headings), -len(table.missing(headings))))


def _known(table: Table, headings: Sequence[str]) -> int:
    return sum(table.column_of(heading) is not None for heading in headings)


_CASE: Final = ("案号", "案件编号", "案件号", "立案号", "case number", "case no")
_CASE_TITLE: Final = ("案由", "案件名称", "案名", "case title")
_OFFICER: Final = ("执法证号", "执法证件号", "证号", "警号", "工号", "certificate", "certificate number")
_RECORDER: Final = ("设备编号", "记录仪编号", "执法记录仪编号", "记录仪", "序列号", "设备序列号", "serial number")
_ACTION: Final = ("行为编号", "执法行为编号", "编号", "id", "action")
_TYPE: Final = Column(
    "type",
    Both("执法行为类型，按目录", "type of act, from the catalogue"),
    required=True,
    also=("行为类型", "执法行为类型", "执法行为", "类型", "action type"),
)
_OFFICERS: Final = Column(
    "officers",
    Both("执法人员的执法证号，多人用 ；、， 分隔", "officers' certificate numbers, separated by ; or ,"),
    required=True,
    also=("执法人员", "执法人员证号", "officer", "officer numbers", *_OFFICER),
)
_NEW_TITLE: Final = Column(
    "case_title", Both("案由；案件不存在时据此建立", "title of a new case"), required=False, also=_CASE_TITLE
)
_UNIT: Final = Column(
    "unit", Both("单位", "unit"), required=False, also=("单位", "执法单位", "所属单位", "部门", "department")
)

TABLES: Final = (
    Table(
        "actions",
        Both("执法行为", "enforcement actions"),
        (
            Column(
                "action_id",
                Both("执法行为编号，唯一", "number of the act, unique"),
                required=True,
                also=_ACTION,
            ),
            Column("case", Both("案号", "case number"), required=True, also=_CASE),
            _TYPE,
            Column(
                "start",
                Both("开始时间", "start"),
                required=True,
                also=("开始时间", "起始时间", "抵达时间", "start time", "from"),
            ),
            Column(
                "end",
                Both("结束时间", "end"),
                required=True,
                also=("结束时间", "终止时间", "离开时间", "end time", "to"),
            ),
            _OFFICERS,
            _NEW_TITLE,
            Column("lat", Both("纬度（WGS-84，度）", "latitude, WGS-84"), required=False, also=("纬度", "latitude")),
            Column(
                "lon",
                Both("经度（WGS-84，度）", "longitude, WGS-84"),
                required=False,
                also=("经度", "longitude", "lng"),
            ),
            Column(
                "radius_m",
                Both("现场半径（米）", "radius of the scene in metres"),
                required=False,
                also=("半径", "范围", "radius"),
            ),
            Column(
                "emergency",
                Both("情况紧急当场实施：是、否", "taken on the spot in an emergency: yes, no"),
                required=False,
                also=("紧急", "情况紧急", "紧急标记", "urgent"),
            ),
            Column("approved", Both("批准时间", "approved"), required=False, also=("批准时间", "审批时间")),
            Column(
                "written_record",
                Both("文字记录是否完整：是、否", "whether the written record is complete: yes, no"),
                required=False,
                also=("文字记录", "文字记录完整", "written record complete"),
            ),
            Column(
                "extended",
                Both("查封扣押期限是否延长：是、否", "whether the seizure was extended: yes, no"),
                required=False,
                also=("延长", "延长期限", "是否延长"),
            ),
            Column(
                "excluded_days",
                Both("检测、检验、检疫、鉴定的日数，不计入期限", "days of testing and appraisal, which do not count"),
                required=False,
                also=("不计入日数", "鉴定日数", "excluded days"),
            ),
            Column(
                "decided",
                Both("处理决定时间；“未决定”表示尚未处理，到期提醒", "when it was decided upon; pending: not yet"),
                required=False,
                also=("处理决定时间", "处理时间", "解除时间", "decided at"),
            ),
            Column(
                "evidenced",
                Both(
                    "已有录像或文书证明的法定环节，按目录的编号或名称，用 ； 分隔；“无”为一项都没有",
                    "steps shown by clip or document, by id or name of the catalogue; none: not one",
                ),
                required=False,
                also=("已证明环节", "环节证明", "checkpoints"),
            ),
            Column(
                "failed",
                Both(
                    "经审核认定未出示证件或者未告知的执法人员，用 ； 分隔；“无”为没有",
                    "officers found on review not to have shown the certificate or informed the party; none: nobody",
                ),
                required=False,
                also=("未出示证件或未告知", "认定违规人员", "failed officers"),
            ),
            _UNIT,
        ),
    ),
    Table(
        "plans",
        Both("计划的执法行为", "planned acts"),
        (
            Column(
                "action_id",
                Both("执法行为编号，实施后沿用", "number of the act, kept when it takes place"),
                required=True,
                also=_ACTION,
            ),
            Column("case", Both("案号", "case number"), required=True, also=_CASE),
            _TYPE,
            Column(
                "planned_start",
                Both("计划开始时间", "planned start"),
                required=True,
                also=("计划开始时间", "计划开始", "拟开始时间"),
            ),
            Column(
                "planned_end",
                Both("计划结束时间", "planned end"),
                required=True,
                also=("计划结束时间", "计划结束", "拟结束时间"),
            ),
            _OFFICERS,
            _NEW_TITLE,
            _UNIT,
        ),
    ),
    Table(
        "assignments",
        Both("记录仪领用台账", "recorder ledger"),
        (
            Column(
                "recorder",
                Both("记录仪编号", "serial of the recorder"),
                required=True,
                also=("recorder serial", "serial", *_RECORDER),
            ),
            Column(
                "officer",
                Both("领用人执法证号", "certificate number of who took it"),
                required=True,
                also=("领用人", "领用人证号", "使用人", "使用人证号", "officer number", *_OFFICER),
            ),
            Column(
                "start",
                Both("领用时间", "issued"),
                required=True,
                also=("领用时间", "借出时间", "开始时间", "issued", "from"),
            ),
            Column(
                "end",
                Both("归还时间；空为尚未归还", "returned; empty while still issued"),
                required=False,
                also=("归还时间", "结束时间", "returned", "to"),
            ),
        ),
    ),
    Table(
        "cases",
        Both("案件", "cases"),
        (
            Column("number", Both("案号", "case number"), required=True, also=("case", *_CASE)),
            Column("title", Both("案由", "title"), required=False, also=_CASE_TITLE),
            _UNIT,
        ),
    ),
    Table(
        "stages",
        Both("案件阶段", "stages of cases"),
        (
            Column("case", Both("案号", "case number"), required=True, also=_CASE),
            Column(
                "stage",
                Both(
                    "阶段：启动、调查取证、审核、决定、送达、执行",
                    "stage: opening, investigation, review, decision, service, execution",
                ),
                required=True,
                also=("阶段", "案件阶段", "办案阶段"),
            ),
            Column(
                "start",
                Both("进入该阶段的时间", "when the case entered it"),
                required=True,
                also=("开始时间", "进入时间", "阶段开始时间", "from"),
            ),
        ),
    ),
    Table(
        "units",
        Both("单位", "units"),
        (
            Column(
                "name",
                Both("单位名称", "name of the unit"),
                required=True,
                also=("单位名称", "单位", "机构名称", "unit"),
            ),
            Column(
                "parent",
                Both("上级单位；空为最上级", "the unit it belongs to; empty at the top"),
                required=False,
                also=("上级单位", "上级", "主管单位", "parent unit"),
            ),
        ),
    ),
    Table(
        "officers",
        Both("执法人员", "officers"),
        (
            Column(
                "number",
                Both("执法证号", "certificate number"),
                required=True,
                also=("officer", "officer number", *_OFFICER),
            ),
            Column("name", Both("姓名", "name"), required=True, also=("姓名", "执法人员", "执法人员姓名")),
            _UNIT,
            Column(
                "qualification",
                Both("执法资格（类别、领域）", "what the officer is qualified for"),
                required=False,
                also=("执法资格", "资格", "执法类别", "执法领域"),
            ),
            Column(
                "qualified_until",
                Both("执法证有效期至（日期，含当日）", "last day of the certificate"),
                required=False,
                also=("有效期至", "证件有效期", "有效期", "valid until"),
            ),
        ),
    ),
    Table(
        "recorders",
        Both("执法记录仪", "recorders"),
        (
            Column(
                "serial",
                Both("记录仪编号", "serial of the recorder"),
                required=True,
                also=("recorder", "recorder serial", *_RECORDER),
            ),
            Column("name", Both("名称", "name"), required=False, also=("名称", "设备名称", "型号", "label", "model")),
            _UNIT,
        ),
    ),
)
"""Every table, the one that a doubtful heading more likely means first."""

TABLES_BY_NAME: Final[Mapping[str, Table]] = {table.name: table for table in TABLES} | {
    heading: table
    for table, headings in zip(
        TABLES,
        (
            ("执法行为",),
            ("计划", "计划行为"),
            ("领用记录", "台账"),
            ("案件",),
            ("案件阶段", "阶段"),
            ("单位",),
            ("执法人员",),
            ("记录仪", "执法记录仪"),
        ),
        strict=True,
    )
    for heading in headings
}
"""Tables by the key under which they stand in a JSON file."""

COLUMN_NAMES: Final = frozenset(column.name for table in TABLES for column in table.columns)
"""Every name to which a source may map a heading of its own."""
