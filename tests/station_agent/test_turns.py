import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from station_agent.errors import DeviceGoneError
from station_agent.turns import Turns


def calm() -> None:
    pass


def held(turns: Turns, key: str, entered: threading.Event, leave: threading.Event) -> None:
    with turns.turn(key, calm):
        entered.set()
        assert leave.wait(5)


@pytest.mark.parametrize(("most", "keys", "at_once"), [(2, "ab", True), (1, "ab", False), (2, "aa", False)])
def test_so_many_at_once_and_never_two_of_a_key(most, keys, at_once):
    turns, leave = Turns(most), threading.Event()
    entered = [threading.Event() for _ in keys]
    with ThreadPoolExecutor(2) as pool:
        done: list[Future[None]] = []
        for key, event in zip(keys, entered, strict=True):
            done.append(pool.submit(held, turns, key, event, leave))
            entered[0].wait(5)
        assert entered[1].wait(0.1) is at_once
        leave.set()
        for future in done:
            future.result(5)


def test_who_leaves_while_waiting_takes_no_place():
    turns = Turns(1)

    def gone() -> None:
        raise DeviceGoneError("pulled-early")

    with turns.turn("a", calm), pytest.raises(DeviceGoneError), turns.turn("b", gone):
        pytest.fail("it was not its turn")
    with turns.turn("b", calm):
        pass
