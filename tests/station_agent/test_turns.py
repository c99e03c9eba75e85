import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.errors import DeviceGoneError
from station_agent.turns import SHARE_S, Shares, Slots, Turns


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


def test_who_comes_first_is_next_and_interrupts_nobody():
    turns, order, leave = Turns(1), [], threading.Event()
    entered = threading.Event()

    def read(key: str, *, first: bool) -> None:
        with turns.turn(key, calm, first=first):
            order.append(key)

    with ThreadPoolExecutor(4) as pool:
        pool.submit(held, turns, "now", entered, leave)
        assert entered.wait(5)
        others = [pool.submit(read, "b", first=False), pool.submit(read, "now", first=True)]
        wait_for(lambda: turns._first == ["now"])
        others.append(pool.submit(read, "a", first=True))
        wait_for(lambda: turns._first == ["now", "a"])
        leave.set()
        for one in others:
            one.result(5)
    assert set(order[:2]) == {"now", "a"}
    assert turns._first == []


def test_who_comes_first_and_cannot_begin_holds_up_nobody():
    turns, leave = Turns(2), threading.Event()
    entered = [threading.Event(), threading.Event()]
    with ThreadPoolExecutor(3) as pool:
        pool.submit(held, turns, "a", entered[0], leave)
        assert entered[0].wait(5)

        def twin() -> None:
            with turns.turn("a", calm, first=True):
                pass

        waiting = pool.submit(twin)
        wait_for(lambda: turns._first == ["a"])
        pool.submit(held, turns, "b", entered[1], leave)
        assert entered[1].wait(2)
        leave.set()
        waiting.result(5)


def wait_for(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that")


# Shares, in a world where a card does nothing but take its time.


@dataclass
class Load:
    """What one copy has to do: so many seconds with a slot, in pieces of so many."""

    bay: int
    left_s: float
    piece_s: float
    ended_s: float = 0.0


def play(copies: int, loads: list[Load], priority: tuple[int, ...] = (), until_s: float = 1e9) -> int:
    """Play all loads to their ends, which are noted in them. The most that worked at once, unstuck."""
    shares, events, most = Shares(copies, priority), [(0.0, number, False) for number in range(len(loads))], 0
    for number, load in enumerate(loads):
        shares.ask(number, load.bay, 0.0)
    working: set[int] = set()
    while events:
        now_s, number, at_work = heapq.heappop(events)
        load = loads[number]
        if now_s > until_s:
            break
        if at_work:
            working.discard(number)
            load.left_s -= load.piece_s
            if load.left_s <= 1e-9:
                load.ended_s = now_s
                shares.leave(number, now_s)
                continue
        if shares.go_on(number, load.bay, now_s) if at_work else shares.holds(number, now_s):
            working.add(number)
            most = max(most, sum(loads[n].piece_s <= SHARE_S for n in working))
            heapq.heappush(events, (now_s + load.piece_s, number, True))
        else:
            heapq.heappush(events, (now_s + 0.01, number, False))
    return most


pieces = st.sampled_from([0.01, 0.03, 0.1])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.lists(pieces, min_size=2, max_size=8), st.integers(1, 2))
def test_equal_loads_end_together(copies, bays, workers):
    loads = [Load(bay, 3.0, piece_s) for bay, piece_s in enumerate(bays) for _ in range(workers)]
    most = play(copies, loads)
    ends = [max(load.ended_s for load in loads if load.bay == bay) for bay in range(len(bays))]
    assert max(ends) <= 1.5 * min(ends)
    assert most <= copies


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(2, 6))
def test_a_stuck_card_costs_the_others_no_more_than_a_good_one(copies, bays):
    good, stuck = ([Load(bay, 3.0, 0.03) for bay in range(bays)] for _ in range(2))
    stuck[0] = Load(0, 1e6, 30.0)
    play(copies, good)
    play(copies, stuck, until_s=1000)
    assert max(load.ended_s for load in stuck[1:]) <= max(load.ended_s for load in good) + 2 * SHARE_S
    assert all(load.ended_s for load in stuck[1:])


def test_a_bay_that_is_preferred_for_a_while_comes_before_whoever_waits():
    shares = Shares(1)
    for ticket, bay in enumerate((1, 2, 3)):
        shares.ask(ticket, bay, 0.0)
    shares.prefer(3, 1)
    shares.leave(0, 0.1)
    assert (shares.holds(1, 0.1), shares.holds(2, 0.1)) == (False, True)
    shares.prefer(3, -1)
    shares.ask(3, 3, 0.1)
    shares.leave(2, 0.2)
    assert shares.holds(1, 0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(2, 6))
def test_the_copies_of_a_priority_bay_go_first(copies, bays):
    loads = [Load(bay, 3.0, 0.03) for bay in range(bays)]
    play(copies, loads, priority=(bays - 1,))
    assert loads[-1].ended_s <= 3.0 + 2 * SHARE_S


def test_a_bay_with_many_copies_gets_no_more_than_one_with_a_single_one():
    loads = [Load(0, 3.0, 0.03) for _ in range(4)] + [Load(1, 3.0, 0.03)]
    play(1, loads)
    assert loads[-1].ended_s <= 6.0 + 2 * SHARE_S


def test_who_comes_late_is_owed_nothing_for_the_time_it_was_away():
    shares = Shares(1)
    shares.ask(0, 1, 0.0)
    assert shares.go_on(0, 1, 100.0)
    shares.ask(1, 2, 100.0)
    turns = []
    for step in range(1, 41):
        now_s = 100.0 + step * SHARE_S
        holder = next(ticket for ticket in (0, 1) if shares.holds(ticket, now_s - SHARE_S / 2))
        shares.go_on(holder, holder + 1, now_s)
        turns.append(holder)
    assert abs(turns.count(0) - turns.count(1)) <= 2


def test_threads_share_the_slots_and_whoever_leaves_while_waiting_holds_none():
    slots, at_work, most = Slots(Shares(2)), [], []

    def gone() -> None:
        raise DeviceGoneError("pulled-early")

    def work(bay: int) -> None:
        with slots.slot(bay, calm) as go_on:
            at_work.append(bay)
            most.append(len(at_work))
            time.sleep(0.01)
            at_work.remove(bay)
            go_on(calm)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert max(most) == 2
    with slots.slot(1, calm), slots.slot(1, calm), pytest.raises(DeviceGoneError), slots.slot(2, gone):
        pytest.fail("there was no slot")
    assert not slots._shares._holding
    assert not slots._shares._waiting
