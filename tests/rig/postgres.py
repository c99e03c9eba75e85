"""A throw-away PostgreSQL: its own cluster on a socket in its own folder, gone when the tests are."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

_PROGRAMS: Final = Path("/usr/lib/postgresql")
_ACCOUNT: Final = "postgres"
_START_S: Final = 20.0


class NoPostgresError(RuntimeError):
    """PostgreSQL is not installed here, or its cluster does not start; the text says which."""


class Postgres:
    """A cluster that trades durability for speed: nothing in it is worth keeping."""

    def __init__(self) -> None:
        # The path of a socket holds 107 bytes at most, hence not below pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="bodycam-pg-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the server takes connections. Raises ``NoPostgresError``."""
        programs = newest_programs()
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        data = self.folder / "data"
        self._run([str(programs / "initdb"), "-D", str(data), "-U", _ACCOUNT, "-A", "trust", "-E", "UTF8", "--no-sync"])
        argv = [str(programs / "postgres"), "-D", str(data), "-k", str(self.folder), "-c", "listen_addresses="]
        argv += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        argv += ["-c", "shared_buffers=32MB", "-c", "max_connections=50"]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(_unprivileged(argv), stdout=log, stderr=log, cwd="/")
        self._wait()

    def new_database(self, like: str = "") -> str:
        """An empty database, or a copy of the one with the URL ``like``; returns its SQLAlchemy URL."""
        name, template = f"t{uuid.uuid4().hex[:16]}", urlsplit(like).path.strip("/") or "template1"
        with self._connect() as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(template)))
        return f"postgresql+psycopg://{_ACCOUNT}@/{name}?host={self.folder}"

    def stop(self) -> None:
        """Ends the server at once and removes its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=_START_S)
        self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self.folder), user=_ACCOUNT, dbname="postgres", autocommit=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError as error:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "log").read_text(errors="replace")[-1000:]
                    raise NoPostgresError(f"PostgreSQL does not start: {said}") from error
                time.sleep(0.05)
            else:
                return

    @staticmethod
    def _run(argv: Sequence[str]) -> None:
        done = subprocess.run(_unprivileged(argv), capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise NoPostgresError(f"{argv[0]} failed: {done.stderr.strip()}")


def newest_programs() -> Path:
    """Folder of the newest installed server programs. Raises ``NoPostgresError``."""
    found = sorted(_PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise NoPostgresError(f"no PostgreSQL server below {_PROGRAMS}")
    return found[-1].parent


def _unprivileged(argv: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root; ``exec`` keeps the process the one that signals reach."""
    prefix = ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--clear-groups", "--"]
    return [*prefix, *argv] if os.geteuid() == 0 else list(argv)
