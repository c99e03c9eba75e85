"""The station's figures for Prometheus, asked of the station at each scrape. No label names a person or a recorder."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from custody.heartbeat import Health
from station_agent.journal import Journal
from station_agent.states import BayState
from station_agent.status import Board, CentreLink


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the figures are asked of."""

    health: Callable[[], Health]
    journal: Journal
    board: Board
    link: Callable[[], CentreLink]


def registry_of(sources: Sources) -> CollectorRegistry:
    """A registry of this station alone: its own figures, and those of its process (``process_…``)."""
    registry = CollectorRegistry()
    registry.register(_Station(sources))
    ProcessCollector(registry=registry)
    return registry


class _Station(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All figures, of one moment as far as several askings can be."""
        health = self._sources.health()
        yield _by("station_agent_build_info", "Version of the program.", "version", {health.agent: 1})
        yield from _clock(health)
        yield _gauge(
            "station_agent_spool_free_bytes", "Free space on the file system of the spool.", health.disk_free_bytes
        )
        yield _gauge("station_agent_spool_size_bytes", "Size of the file system of the spool.", health.disk_size_bytes)
        yield CounterMetricFamily("station_agent_log_entries", "Entries of the station log.", value=health.log_entries)
        yield _gauge("station_agent_log_alarm", "1: the centre knows another history of this log.", health.alarms)
        yield from self._work(health)
        yield from self._surroundings()

    def _work(self, health: Health) -> Iterator[Metric]:
        waiting = self._sources.journal.waiting().block()
        kinds = self._sources.journal.failing()
        yield _gauge("station_agent_outbox_entries", "Entries without the centre's answer.", health.outbox_entries)
        yield _gauge("station_agent_receipts_waiting", "Sealed clips without receipt.", health.receipts_waiting)
        yield _gauge("station_agent_clips_open", "Files seen and neither sealed nor failed.", health.clips_open)
        jobs = {kind: waiting[kind] for kind in kinds}
        yield _by("station_agent_jobs_waiting", "Jobs still to be done.", "kind", jobs)
        yield _by("station_agent_jobs_failing", "Jobs that failed and are tried again.", "kind", kinds)

    def _surroundings(self) -> Iterator[Metric]:
        link = self._sources.link()
        yield _gauge("station_agent_broker_connected", "1: the broker is reached.", int(link.online))
        since = "Since when the broker is reached, or is not."
        yield _gauge("station_agent_broker_since_timestamp_seconds", since, link.since_ms / 1000)
        states = Counter(str(tile.state) for tile in self._sources.board.tiles())
        bays = {str(state): states[str(state)] for state in BayState}
        yield _by("station_agent_bays", "Bays in each state.", "state", bays)


def _clock(health: Health) -> Iterator[Metric]:
    """An offset that nobody measured is absent: it is not zero."""
    synchronised = int(health.clock_synchronised == "yes")
    yield _gauge("station_agent_clock_synchronised", "1: the clock is disciplined by a time source.", synchronised)
    if health.clock_offset_ms is not None:
        offset = "Station clock minus its time source."
        yield _gauge("station_agent_clock_offset_seconds", offset, health.clock_offset_ms / 1000)
    if health.clock_uncertainty_ms is not None:
        uncertainty = "How far the station clock is from the truth at most."
        yield _gauge("station_agent_clock_uncertainty_seconds", uncertainty, health.clock_uncertainty_ms / 1000)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)


def _by(name: str, said: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, said, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
