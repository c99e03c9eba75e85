"""What the running centre tells systemd."""

import socket
import threading

import pytest

from ingestd import serve


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The socket of systemd (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield heard


def test_the_watchdog_is_fed_until_the_stop(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    stop = threading.Event()
    tending = threading.Thread(target=serve.tend, args=(stop,))
    tending.start()
    assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    stop.set()
    tending.join(10)
    assert not tending.is_alive()


def test_without_a_watchdog_nothing_is_said(systemd, monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    stop = threading.Event()
    tending = threading.Thread(target=serve.tend, args=(stop,))
    tending.start()
    systemd.settimeout(0.2)
    with pytest.raises(TimeoutError):
        systemd.recv(100)
    stop.set()
    tending.join(10)
    assert not tending.is_alive()
