import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.attacks.house import House, anchored, found, work
from tests.rig.tsa import LocalTsa


@pytest.fixture(scope="session")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> LocalTsa:
    return LocalTsa(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="session")
def tsa_url(tsa: LocalTsa) -> Iterator[str]:
    with tsa.serving() as url:
        yield url


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """An agency with a past: two dockings, registers, links, flags, receipts."""
    return work(found(tmp_path_factory.mktemp("agency")), datetime.now(UTC))


@pytest.fixture(scope="session")
def built_anchored(built: House, tmp_path_factory: pytest.TempPathFactory, tsa: LocalTsa, tsa_url: str) -> House:
    """The same, with an authority and a witness outside."""
    return anchored(copy_of(built, tmp_path_factory.mktemp("anchored") / "agency"), tsa, tsa_url)


@pytest.fixture(scope="session")
def exported(built: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle of a case and, from elsewhere, the policy."""
    folder = tmp_path_factory.mktemp("exported")
    one = copy_of(built, folder / "agency")
    case = json.loads((one.folder / "registers.json").read_bytes())["cases"][0]["number"]
    assert one.ingestd("audit", "export", "--case", case, "--out", folder / "bundle").code == 0
    argv = [sys.executable, "-m", "ingestd.cli", "audit", "policy", "--data-dir", str(one.folder)]
    (folder / "policy.txt").write_bytes(subprocess.run(argv, capture_output=True, check=True).stdout)
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported / "bundle", tmp_path / "bundle"))


@pytest.fixture
def policy(exported: Path) -> Path:
    return exported / "policy.txt"


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    """A copy for this test alone, in which nothing is wrong."""
    return clean(copy_of(built, tmp_path / "agency"))


@pytest.fixture
def anchored_house(built_anchored: House, tmp_path: Path) -> House:
    """The same with anchors."""
    made = clean(copy_of(built_anchored, tmp_path / "agency"))
    assert made.verify_anchors().words == set()
    return made


@pytest.fixture
def another(tmp_path: Path) -> Callable[[House], House]:
    """Copies a house as it is now: a backup."""
    return lambda one: copy_of(one, tmp_path / "copy")


def copy_of(one: House, folder: Path) -> House:
    return House(Path(shutil.copytree(one.folder, folder)))


def clean(one: House) -> House:
    """Every check of both programs finds something to check and nothing wrong."""
    with one.quickly():
        done = [one.audit(), one.verify_log()]
    assert [(command.code, command.words) for command in done] == [(0, set()), (0, set())]
    return one
