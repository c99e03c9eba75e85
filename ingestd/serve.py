"""The centre as a service: receives, reads back, sweeps, anchors, shows; runs the threads and stops them in order.

Apart from ``ingestd.service``, since no other command needs a web server or a broker's client.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Final

import structlog
import uvicorn

from ingestd import service
from ingestd.anchors import setup as anchors
from ingestd.anchors.decide import CAVEAT
from ingestd.audit.history import History
from ingestd.config import CENTRE, Config
from ingestd.errors import CentreError, ConfigError
from ingestd.heartbeats import Heartbeats
from ingestd.imports import ImportFolder
from ingestd.index.repository import Repository
from ingestd.logfiles import PosixLogFiles
from ingestd.metrics import Sources, registry_of
from ingestd.pipeline import Places
from ingestd.premises import SystemClock, centre_keys, log_folder
from ingestd.receive import Receiver
from ingestd.recheck import Rechecker
from ingestd.retention import proposable
from ingestd.schedule import Schedule
from ingestd.service import Centre, build
from ingestd.stats.make import make
from ingestd.store import EvidenceReader
from ingestd.web.api.tokens import Known
from ingestd.web.app import create_app

_JOIN_S: Final = 20.0

_log = structlog.get_logger(__name__)


def run(config: Config, stop: threading.Event) -> None:
    """Serve until ``stop`` is set. Raises the first error that waiting does not cure."""
    centre = build(config)
    centre.pipeline.start()
    store = EvidenceReader(config.store.url)
    heartbeats = Heartbeats(Places.under(config.paths.data).heartbeats, SystemClock().now_ms)
    receiver = Receiver(config.mqtt, centre.pipeline.handle, heartbeats.take)
    pages, listener = _pages(centre, store, receiver), _listen(config)
    rechecker = Rechecker(store, centre.pipeline, receiver.publish, config.store.readers)
    crew = Crew(stop)
    crew.start("receive", receiver.run)
    crew.start("recheck", rechecker.run)
    crew.start("sweep", Schedule(centre.pipeline).run)
    if config.imports.folder is not None:
        crew.start("imports", ImportFolder(config.imports.folder, config.imports, centre.pipeline, config.zone).run)
    _start_anchors(crew, centre, stop)
    crew.start("pages", lambda _stop: pages.run([listener]))
    receiver.start()
    notify("READY=1")
    _log.info("centre-running", web=f"http://{config.web.host}:{config.web.port}", log=config.origin)
    tend(stop)
    notify("STOPPING=1")
    pages.should_exit = True
    crew.join()
    receiver.stop()
    if crew.failure is None:
        centre.pipeline.checkpoint()
    centre.engine.dispose()
    if crew.failure is not None:
        raise crew.failure


def _start_anchors(crew: "Crew", centre: Centre, stop: threading.Event) -> None:
    """Anchor the log where anybody outside is configured; where nobody is, say so."""
    if not centre.config.anchors.configured:
        _log.warning("no-anchors", caveat=CAVEAT.zh, caveat_en=CAVEAT.en)
        return
    anchorer = anchors.anchorer(centre.config, centre.pipeline, SystemClock().now_ms, stop.wait)
    crew.start("anchors", anchorer.run)


class Crew:
    """Threads that stop together: the first that fails stops all."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def start(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Run ``work`` in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(name, work), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _run(self, name: str, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self._stop)
        except (CentreError, OSError) as error:
            _log.error("stopped", part=name, error=str(error))
            self.failure = self.failure or error
        except BaseException as error:
            _log.exception("crashed", part=name)
            self.failure = self.failure or error
            raise
        finally:
            self._stop.set()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def tend(stop: threading.Event) -> None:
    """Until ``stop`` is set, tell systemd twice in the time of its watchdog that we live (sd_watchdog_enabled(3))."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    pause_s = int(microseconds) / 2_000_000 if microseconds.isdigit() else None
    while not stop.wait(pause_s):
        notify("WATCHDOG=1")


def notify(state: str) -> None:
    """Tell systemd how we are (sd_notify(3)); without it, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _listen(config: Config) -> socket.socket:
    """The pages' socket, bound here so that a taken port is one clear sentence."""
    try:
        return socket.create_server((config.web.host, config.web.port))
    except OSError as error:
        raise ConfigError(f"web.host, web.port: {config.web.host}:{config.web.port}: {error.strerror}") from error


def audit_history(centre: Centre) -> History:
    """What the audit page reads."""
    config = centre.config
    return History(
        index=centre.queries,
        files=PosixLogFiles(log_folder(config, CENTRE)),
        keys=[keys.note for keys in centre_keys(config)],
        store=anchors.anchor_store(config),
        witnesses=config.anchors.witness_keys(),
        configured=config.anchors.configured,
    )


def _pages(centre: Centre, store: EvidenceReader, receiver: Receiver) -> uvicorn.Server:
    config, policy = centre.config, service.policy(centre.config, centre.catalogue)
    app = create_app(
        centre.queries,
        store,
        zone=config.zone,
        types=centre.catalogue.spoken(),
        published=anchors.published(config),
        history=audit_history(centre),
        counted=lambda by, bounds, now_ms: make(centre.queries, by, bounds, now_ms, policy),
        proposable=lambda limit: centre.queries.read(
            lambda db: proposable(Repository(db), SystemClock().now_ms(), policy.keep_days, limit)
        ),
        policy=policy,
        tokens=Known(centre.queries.token, SystemClock().now_ms),
        importer=lambda data, name, dry_run: centre.pipeline.import_cases(data, name, dry_run=dry_run),
        hindrance=lambda: receiver.problem,
        viewed=centre.pipeline.viewed,
        user_header=config.web.user_header,
        metrics=registry_of(Sources(centre.queries, lambda: receiver.problem, config.paths.data, centre.stations)),
        stations=centre.stations,
    )
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.web.host,
            port=config.web.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
    )
