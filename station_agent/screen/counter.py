"""Where officers act on the screen: check-in, marks, taking a recorder out and bringing it back.

Acts are asked for with POST alone, and only by our own page on this machine: from loopback, to a loopback name (against
DNS rebinding), with the page's own ``Origin`` (Fetch Standard §3.2) and the token that the page was served with.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Protocol
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from pydantic import BaseModel, Field

from station_agent.checkout import Readiness
from station_agent.errors import DeskError
from station_agent.screen import language
from station_agent.screen.language import phrase
from station_agent.screen.tiles import MARKS, Warn, size_text

HEADER: Final = "X-Desk-Token"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

FINDINGS: Final[Mapping[str, str]] = {
    "unknown-recorder": phrase("this station has never read this recorder"),
    "held": phrase("another officer holds it by the ledger"),
    "held-by-you": phrase("you hold it already by the ledger"),
    "busy": phrase("it is being read: do not take it"),
    "open": phrase("%(num)s files are not safely stored yet"),
    "left": phrase("%(num)s files are still on it"),
    "left-unreadable": phrase("files on it: not readable now"),
    "clock-unmeasured": phrase("clock: not measured"),
    "clock-offset": phrase("clock is off by %(num)s s"),
    "battery-unreadable": phrase("battery: not readable"),
    "battery-low": phrase("battery %(num)s %%"),
    "room-unreadable": phrase("free space: not readable"),
    "room-low": phrase("room for %(num)s hours of video only"),
}
"""Words for the findings of ``station_agent.checkout``."""

PROBLEMS: Final[Mapping[str, str]] = {
    "no-officer": phrase("Scan your badge, or type the officer's number."),
    "no-bay": phrase("There is no such bay."),
    "no-mark": phrase("Choose priority or important."),
    "no-recorder": phrase("Scan the recorder's label, or type the number of its bay."),
    "not-ready": phrase("The recorder is not ready. Say why it is issued all the same."),
    "not-held": phrase("By the ledger you do not hold this recorder."),
}
"""Words for ``DeskError.code``."""


class Desk(Protocol):
    """What the counter needs from ``station_agent.desk.Desk``; each may raise ``DeskError``."""

    def check_in(self, officer: str) -> dict[str, Any]:
        """Last dockings and held recorders."""
        ...

    def mark(self, officer: str, bay: int, mark: str) -> None:
        """Say how the next docking in a bay is to be taken."""
        ...

    def readiness(self, officer: str, named: str) -> tuple[str, Readiness]:
        """The recorder meant, and whether it is ready."""
        ...

    def issue(self, officer: str, named: str, reason: str) -> dict[str, Any]:
        """Enter that the officer holds it."""
        ...

    def take_back(self, officer: str, recorder: str) -> dict[str, Any]:
        """Enter that the officer holds it no longer."""
        ...


Text = Annotated[str, Field(max_length=256)]


class Asked(BaseModel):
    """One act, as the page's forms send it."""

    officer: Text
    recorder: Text = ""
    reason: Text = ""
    mark: Text = ""
    bay: Annotated[int, Field(ge=0, le=999)] = 0


@dataclass(slots=True)
class Panel:
    """What the panel shows beside the officer."""

    done: str = ""
    number: str = ""
    """Place in the log of what was done."""
    problem: str = ""
    recorder: str = ""
    ready: bool = False
    findings: list[Warn] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Counter:
    """The acts over a desk."""

    desk: Desk
    zone: ZoneInfo
    bays: Callable[[], list[int]]
    environment: Callable[[str], Environment]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def own(self, request: Request) -> None:
        """Refuse with 403 whatever does not come from our own page on this machine."""
        host = request.client.host if request.client else ""
        origin = f"{request.url.scheme}://{request.headers.get('host', '')}"
        is_ours = (
            _is_loopback(host)
            and request.url.hostname in _LOOPBACK
            and request.headers.get("origin") == origin
            and secrets.compare_digest(request.headers.get(HEADER, "").encode(), self.token.encode())
        )
        if not is_ours:
            raise HTTPException(403, "acts are taken from the dock's own screen alone; load the page again")

    def act(self, asked: Asked, request: Request, work: Callable[[Panel], None]) -> HTMLResponse:
        """Do it, and draw the officer's panel anew."""
        panel, facts = Panel(), {}
        try:
            work(panel)
        except DeskError as error:
            panel.problem = PROBLEMS[error.code]
        try:
            facts = self.desk.check_in(asked.officer)
        except DeskError as error:
            panel.problem = PROBLEMS[error.code]
        template = self.environment(language.chosen(request)).get_template("desk.html")
        dockings = [self._docking(one) for one in facts.get("dockings", [])]
        around = {"dockings": dockings, "bays": self.bays(), "marks": MARKS, "zone": self.zone.key}
        html = template.render(panel=panel, asked=asked, facts=facts, **around)
        return HTMLResponse(html, status_code=400 if panel.problem else 200)

    def look(self, panel: Panel, asked: Asked) -> None:
        """Whether the recorder is ready."""
        panel.recorder, found = self.desk.readiness(asked.officer, asked.recorder)
        panel.ready = found.ready
        panel.findings = [Warn(FINDINGS[one.code], _said(one.code, one.number)) for one in found.findings]

    def issue(self, panel: Panel, asked: Asked) -> None:
        """Issue it, or show again why it is not ready."""
        try:
            done = self.desk.issue(asked.officer, asked.recorder, asked.reason)
        except DeskError:
            self.look(panel, asked)
            raise
        panel.done, panel.number = phrase("Issued to you: %(recorder)s"), f"#{done['seq']} {done['leaf'][:16]}"
        panel.recorder = done["recorder"]
        asked.recorder = ""

    def take_back(self, panel: Panel, asked: Asked) -> None:
        """Take it back."""
        done = self.desk.take_back(asked.officer, asked.recorder)
        panel.done, panel.number = phrase("Returned: %(recorder)s"), f"#{done['seq']} {done['leaf'][:16]}"
        panel.recorder = done["recorder"]

    def mark(self, panel: Panel, asked: Asked) -> None:
        """Mark the next docking."""
        self.desk.mark(asked.officer, asked.bay, asked.mark)
        panel.done = phrase("The next docking in this bay is marked.")

    def _docking(self, one: Mapping[str, Any]) -> dict[str, Any]:
        at = datetime.fromtimestamp(one["docked_ms"] / 1000, self.zone)
        return {
            **one,
            "at": f"{at:%m-%d %H:%M %z}",
            "size": size_text(one["bytes"]),
            "mark": MARKS.get(one["mark"], ""),
        }


def add_counter(app: FastAPI, counter: Counter) -> None:
    """The routes of the acts; none of them answers a GET."""
    own = [Depends(counter.own)]

    @app.post("/desk/check-in", include_in_schema=False, dependencies=own)
    def check_in(asked: Asked, request: Request) -> HTMLResponse:
        return counter.act(asked, request, lambda _panel: None)

    @app.post("/desk/mark", include_in_schema=False, dependencies=own)
    def mark(asked: Asked, request: Request) -> HTMLResponse:
        return counter.act(asked, request, lambda panel: counter.mark(panel, asked))

    @app.post("/desk/ready", include_in_schema=False, dependencies=own)
    def ready(asked: Asked, request: Request) -> HTMLResponse:
        return counter.act(asked, request, lambda panel: counter.look(panel, asked))

    @app.post("/desk/issue", include_in_schema=False, dependencies=own)
    def issue(asked: Asked, request: Request) -> HTMLResponse:
        return counter.act(asked, request, lambda panel: counter.issue(panel, asked))

    @app.post("/desk/return", include_in_schema=False, dependencies=own)
    def take_back(asked: Asked, request: Request) -> HTMLResponse:
        return counter.act(asked, request, lambda panel: counter.take_back(panel, asked))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _said(code: str, number: int | None) -> int | None:
    """The clock's offset in whole seconds, at least one, without its sign; any other number as it is."""
    if number is None or code != "clock-offset":
        return number
    return max(1, round(abs(number) / 1000))
