"""The loop dock of a test, and what the detector says of it."""

from collections.abc import Iterator

import pytest

from tests.rig.loopdock import LoopDock
from tests.rig.watch import Watch


@pytest.fixture
def dock(tmp_path, need_root) -> Iterator[LoopDock]:
    with LoopDock(tmp_path / "dock") as made:
        yield made


@pytest.fixture
def watch(dock) -> Iterator[Watch]:
    made = Watch(dock)
    yield made
    made.close()
