"""The report of a run as Markdown, and the same table for the terminal."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PROVED: Final = "成立 holds"
BROKEN: Final = "不成立 BROKEN"
NOT_RUN: Final = "未运行 not run"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a report."""

    fault: str
    chinese: str
    injected: str
    holds: str
    verdict: str
    seconds: float = 0.0
    count: str = ""
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One run."""

    title: str
    chinese: str
    command: str
    lines: Sequence[Line]
    kernel: str = ""
    """Of the machine with the recorders in it; empty: this one."""
    notes: Sequence[str] = ()
    checked: tuple[str, str] = ("每个场景之后都", "after every scenario")
    """When the checker was asked, in both languages."""

    @property
    def is_good(self) -> bool:
        """Whether something was run and nothing of it was broken."""
        verdicts = [line.verdict for line in self.lines]
        return PROVED in verdicts and BROKEN not in verdicts

    def markdown(self) -> str:
        """The page."""
        counts = {word: sum(line.verdict == word for line in self.lines) for word in (PROVED, BROKEN, NOT_RUN)}
        load = os.getloadavg()[0]
        head = [
            f"# {self.chinese} · {self.title}",
            "",
            f"由 `{self.command}` 写成；{self.checked[0]}核对十二条不变量（`tests/rig/invariants.py`）。",
            f"Written by `{self.command}`; the twelve invariants are checked {self.checked[1]}.",
            "",
            "| | |",
            "|---|---|",
            f"| 日期 date | {datetime.now(UTC):%Y-%m-%d %H:%M} UTC |",
            f"| 内核 kernel | {self.kernel or platform.release()} |",
            f"| 机器 machine | {_system()}, {os.cpu_count()} CPU, load {load:.1f} |",
            *(f"| {word} | {count} |" for word, count in counts.items()),
            "",
            "| 故障 fault | 注入 injected | 另须成立 must hold besides | 结果 result | 次数 count | s |",
            "|---|---|---|---|---|---|",
        ]
        rows = [
            f"| {one.chinese} {one.fault} | {one.injected} | {one.holds} | {one.verdict} | {one.count}"
            f" | {one.seconds:.0f} |"
            for one in self.lines
        ]
        problems = [f"- **{one.fault}**: {problem}" for one in self.lines for problem in one.problems]
        broken = ["", "## 发现 Findings", "", *problems] if problems else []
        notes = ["", "## 说明 Notes", "", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join([*head, *rows, *broken, *notes, ""])


def printed(lines: Iterable[Line]) -> str:
    """For a terminal."""
    return "\n".join(
        "\n    ".join([f"{one.verdict:14} {one.seconds:7.1f} s  {one.fault:28} {one.count}", *one.problems])
        for one in lines
    )


def _system() -> str:
    names = dict(line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines())
    return names.get("PRETTY_NAME", "").strip('"')
