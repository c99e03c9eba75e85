"""The centre's figures for Prometheus, asked of the index at each scrape. No label names a person, recorder or clip."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingestd.index.queries import ClipCounts, Summary
from ingestd.rules import RULES_BY_ID
from ingestd.stations import Standing, StationRow


class Figures(Protocol):
    """The part of ``ingestd.index.queries.Queries`` that is counted here; its docstrings hold."""

    def summary(self) -> Summary:
        """Counts of clips, flags and quarantined messages, and where the log stands."""
        ...

    def open_flags_by_rule(self) -> dict[str, int]:
        """How many flags of each rule are open."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the figures are asked of."""

    figures: Figures
    hindrance: Callable[[], str]
    """Why no message arrives from the broker, or an empty string."""
    data: Path
    """Where log and mirrors lie: a full disk there stops the centre."""
    stations: Callable[[], Sequence[StationRow]]


def registry_of(sources: Sources) -> CollectorRegistry:
    """A registry of this centre alone: its own figures, and those of its process (``process_…``)."""
    registry = CollectorRegistry()
    registry.register(_Centre(sources))
    ProcessCollector(registry=registry)
    return registry


class _Centre(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All figures; raises ``DatabaseError`` when the index does not answer, and the scrape fails."""
        summary, disk = self._sources.figures.summary(), shutil.disk_usage(self._sources.data)
        yield _by("ingestd_build_info", "Version of the program.", "version", {version("bodycam-custody"): 1})
        yield _gauge("ingestd_broker_connected", "1: messages arrive.", int(not self._sources.hindrance()))
        yield _gauge("ingestd_data_free_bytes", "Free space where log and mirrors lie.", disk.free)
        yield _gauge("ingestd_data_size_bytes", "Size of that file system.", disk.total)
        yield CounterMetricFamily("ingestd_log_entries", "Entries of the centre log.", value=summary.log.size)
        counts = {name: getattr(summary.clips, name) for name in ClipCounts.__slots__}
        yield _by("ingestd_clips", "Clips by what became of them, as on the first page.", "count", counts)
        yield _gauge("ingestd_messages_quarantined", "Messages in quarantine.", summary.messages_quarantined)
        flags = dict.fromkeys(RULES_BY_ID, 0) | self._sources.figures.open_flags_by_rule()
        yield _by("ingestd_flags_open", "Open flags of each rule.", "rule", flags)
        yield from _stations(self._sources.stations())


def _stations(rows: Sequence[StationRow]) -> Iterator[Metric]:
    """What is held of each station, and whether it is there. What it claims of itself is scraped from itself."""
    entries = CounterMetricFamily("ingestd_station_entries", "Entries held of each station's log.", labels=["station"])
    for row in rows:
        entries.add_metric([row.station], row.entries)
    yield entries
    online = {row.station: int(row.standing is Standing.ONLINE) for row in rows}
    yield _by("ingestd_station_online", "1: its heartbeats come.", "station", online)
    said = "When a station last spoke, by the centre's clock."
    heard = GaugeMetricFamily("ingestd_station_heard_timestamp_seconds", said, labels=["station"])
    for row in rows:
        if row.heard_ms is not None:
            heard.add_metric([row.station], row.heard_ms / 1000)
    yield heard


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)


def _by(name: str, said: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, said, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
