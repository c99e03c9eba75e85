import os
from collections.abc import Callable
from itertools import count

import pytest

from custody.identifiers import uuid7
from custody.log import Log
from custody.record import Draft
from custody.signer import Ed25519Signer
from tests.fakes.log_files import MemoryLogFiles

ORIGIN = "custody.example/station-07"


@pytest.fixture
def signer() -> Ed25519Signer:
    return Ed25519Signer.from_seed(b"s" * 32)


@pytest.fixture
def make_draft() -> Callable[..., Draft]:
    ticks = count(1795373277980)

    def make(event: str = "log.recovered", **body: object) -> Draft:
        now = next(ticks)
        return Draft(
            event,
            uuid7(now, os.urandom(10)),
            {"utc_ms": now, "source": "ntp"},
            body or {"reason": "a test"},  # type: ignore[arg-type]
        )

    return make


@pytest.fixture
def log(signer, make_draft) -> Log:
    log = Log(MemoryLogFiles(), ORIGIN, [signer.verify_key()])
    log.append([make_draft() for _ in range(6)], [signer])
    return log
