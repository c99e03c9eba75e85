import threading

import pytest

from station_agent.errors import AgentError, StoreError
from station_agent.threads import Threads


def test_a_stop_ends_all_and_raises_nothing():
    stop, fed = threading.Event(), threading.Event()
    threads = Threads(stop)
    threads.keep("room", stop.wait)
    threads.start("bay", lambda: None)
    threading.Timer(0.1, stop.set).start()
    threads.tend(0.01, fed.set)
    threads.join()
    assert fed.is_set()


def test_lasting_work_that_just_ends_stops_the_station_and_feeds_no_watchdog():
    fed: list[int] = []
    threads = Threads(threading.Event())
    threads.keep("detect", lambda: None)
    threads.tend(0.05, lambda: fed.append(1))
    with pytest.raises(AgentError, match="detect ended although the station goes on"):
        threads.join()
    assert fed == []


@pytest.mark.parametrize("lasting", [True, False])
def test_the_first_failure_is_the_one_that_is_raised(lasting):
    def fail() -> None:
        raise StoreError("the first")

    stop = threading.Event()
    threads = Threads(stop)
    threads.keep("other", stop.wait)
    (threads.keep if lasting else threads.start)("room", fail)
    threads.tend(0.05, lambda: None)
    with pytest.raises(StoreError, match="the first"):
        threads.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_ours_in_a_step_is_no_silence():
    nothing: list[int] = []
    threads = Threads(threading.Event())
    threads.start("bay-1", lambda: nothing[0])
    threads.tend(0.05, lambda: None)
    with pytest.raises(AgentError, match="bay-1 ended unexpectedly"):
        threads.join()
