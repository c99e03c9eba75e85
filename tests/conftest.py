"""What every test shares: the real programs it may ask for, and who answers for their absence.

As root, ``./dev test`` has installed every program, so an absent one is a failure. Without root it is a skip that says
what is missing.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, settings

from ingestd.index.database import open_engine
from station_agent.tools.sandbox import WALLED
from tests.rig.broker import CENTRE, Broker, free_port
from tests.rig.pki import Pki
from tests.rig.postgres import NoPostgresError, Postgres
from tests.rig.udevd import Udevd

# The machine is shared and slow at times: a slow draw is no defect, and the run says what it found, not how fast.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
REAL_MEDIA = ROOT.parent / "shared" / "real-media"
STATION = "station-01"
_SESSION = pytest.StashKey[ExitStack]()


@cache
def walls_can_stand() -> bool:
    """Whether the kernel makes user namespaces here; in a chroot, for one, it does not (clone(2), EPERM)."""
    return subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode == 0


def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run holds udevd for all its workers; a run without one fails only where it is needed.

    Media tools run without walls where none can be built; what tries the walls themselves is skipped there and says so.
    """
    WALLED.required = walls_can_stand()
    stack = config.stash[_SESSION] = ExitStack()
    first = not hasattr(config, "workerinput") and not config.option.collectonly
    if first and os.geteuid() == 0 and shutil.which("udevadm"):
        stack.callback(Udevd().close)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_SESSION].close()


@pytest.fixture(autouse=True)
def _own_log_settings() -> Iterator[None]:
    """Command lines set up the log for their process; here they share one, whose standard error is each test's own."""
    yield
    structlog.reset_defaults()


def missing(what: str) -> NoReturn:
    """Ends the test: a failure for root, who has everything, a skip with its reason for others."""
    if os.geteuid() == 0:
        pytest.fail(f"{what}; ./dev test installs it")
    pytest.skip(f"{what}, and without root it cannot be had")


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """A command that a test ran must not leave its log bound to a captured, closed standard error."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def one_dock_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of the group ``dock`` share one udevd, whose rules each dock changes: they take turns, in all workers."""
    group = request.node.get_closest_marker("xdist_group")
    if group is None or "dock" not in group.args:
        yield
        return
    with (Path(tempfile.gettempdir()) / "bodycam-tests-dock.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


@pytest.fixture
def need_root() -> None:
    """Loop devices and mounts belong to root."""
    if os.geteuid() != 0:
        pytest.skip("needs root for loop devices and mounts")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.create(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def broker(tmp_path: Path, pki: Pki) -> Iterator[Broker]:
    """A running mosquitto that knows ``STATION`` and the centre; ``broker.pki.client(name)`` makes certificates."""
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        missing("mosquitto is not installed")
    made = Broker(tmp_path / "broker", pki, [STATION])
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL cluster for each worker of a run."""
    cluster = Postgres()
    try:
        cluster.start()
    except NoPostgresError as error:
        cluster.stop()
        missing(str(error))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index in SQLite, its tables made and empty: copied, for making them is what most tests would spend most on."""
    made = tmp_path_factory.mktemp("migrated") / "index.db"
    open_engine(f"sqlite:///{made}").dispose()
    return made


@pytest.fixture(scope="session")
def migrated_database(postgres: Postgres) -> str:
    """URL of the same in PostgreSQL; nobody may be connected to it while it is copied."""
    url = postgres.new_database()
    open_engine(url).dispose()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with empty tables, once of each kind."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_file"), tmp_path / "index.db")
        return f"sqlite:///{tmp_path / 'index.db'}"
    cluster: Postgres = request.getfixturevalue("postgres")
    return cluster.new_database(like=request.getfixturevalue("migrated_database"))


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables, once of each kind: for tests of how they come to be."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index.db'}"
    cluster: Postgres = request.getfixturevalue("postgres")
    return cluster.new_database()


@pytest.fixture(scope="session")
def real_media() -> Path:
    """The folder of real recorders' files beside the project."""
    if not REAL_MEDIA.is_dir():
        pytest.skip("no ../shared/real-media beside the project")
    return REAL_MEDIA


__all__ = ["CENTRE", "REAL_MEDIA", "ROOT", "STATION"]
