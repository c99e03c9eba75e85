"""What lies beside an empty database at the first start: nothing at a new site, anything after a loss."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import event

from ingestd import config as configuration
from ingestd import premises, service
from ingestd.errors import CentreError, StateError, StoreError
from ingestd.logfiles import PosixLogFiles
from tests.fakes.audited import ingestd
from tests.fakes.centre_station import AUTHORITY, FakeStation
from tests.fakes.centre_world import World


@pytest.fixture
def station():
    made = FakeStation()
    made.clip()
    return made


@pytest.fixture
def site(tmp_path, station, bare_database_url):
    """A configured site at which nothing has happened yet."""
    (tmp_path / "ingestd.toml").write_text(f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "station-01"
vkey = "{station.enrolled.note_key.vkey()}"
[store]
url = "store"
[database]
url = "{bare_database_url}"
""")
    config = configuration.load(tmp_path / "ingestd.toml")
    service.make_keys(config)
    return config


def started(config):
    """Starts the centre; returns the size of its log, which by then enrols the station."""
    centre = service.build(config)
    try:
        centre.pipeline.start()
        assert [one.station for one in centre.queries.mirrors()] == ["station-01"]
        return centre.pipeline.checkpoint().checkpoint.size
    finally:
        centre.engine.dispose()


def upload(config, station):
    for name, data in station.store.items():
        path = Path(config.store.url) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_new_site_starts(site):
    first = started(site)

    assert first > 0
    assert started(site) == first, "nothing is said twice"


@pytest.mark.parametrize("command", [("clips", "list"), ("flags", "list"), ("holds", "list"), ("disposals", "list")])
def test_lost_database_does_not_say_that_there_is_nothing(tmp_path, site, command):
    lost = ingestd(*command, "--data-dir", tmp_path)
    assert (lost.code, lost.out, "the database is empty" in lost.err) == (65, "", True)
    started(site)
    assert ingestd(*command, "--data-dir", tmp_path).code == 0


def test_store_that_is_not_empty_stops_a_centre_without_log_and_database(site, station):
    upload(site, station)

    with pytest.raises(StateError, match=r"the store .*store holds originals/.*: restore the data folder") as raised:
        started(site)

    assert raised.value.exit_code == 65
    with pytest.raises(StateError):
        started(site)


def test_mirror_that_is_not_empty_stops_a_centre_without_log_and_database(site):
    PosixLogFiles(premises.log_folder(site, "station-01")).append(b"{}\n")

    with pytest.raises(StateError, match="mirrors/station-01 holds entries"):
        started(site)


def test_site_that_was_begun_starts_beside_whatever_came_meanwhile(site, station):
    service.begin(site)
    upload(site, station)

    assert started(site) > 0


def test_new_log_is_begun_beside_a_store_only_when_asked_for(site, station):
    upload(site, station)
    with pytest.raises(StateError):
        service.begin(site)
    service.begin(site, anew=True)

    assert started(site) > 0


def test_store_that_does_not_answer_is_not_taken_for_an_empty_one(site):
    Path(site.store.url).write_text("no folder")

    with pytest.raises(StoreError):
        started(site)


@pytest.mark.parametrize("crash", range(4))
def test_crash_of_the_first_start_never_locks_the_site_out(tmp_path, bare_database_url, station, crash):
    """Each commit of the first start fails once; meanwhile a dock fills the store, as soon as the centre has begun."""
    world = World(tmp_path, bare_database_url, [station])
    commits = []

    def fail(_connection):
        commits.append(1)
        if len(commits) == crash + 1:
            raise OSError("power cut")

    event.listen(world.engine, "commit", fail)
    with suppress(CentreError, OSError):
        world.pipeline.start()
    event.remove(world.engine, "commit", fail)
    begun = world.begun
    world.remains = lambda: "the store holds something" if begun else ""
    world.restart()

    world.pipeline.start()
    world.pipeline.handle([station.message()])

    assert begun is (crash > 0)
    assert world.compared().outcome == 0
    world.close()


class Bucket(BaseHTTPRequestHandler):
    """ListObjectsV2 of one bucket, which is all that is asked here."""

    keys: tuple[str, ...] = ()

    def do_GET(self):
        prefix = self.path.partition("prefix=")[2].partition("&")[0].replace("%2F", "/")
        found = [key for key in self.keys if key.startswith(prefix)]
        listed = "".join(
            f"<Contents><Key>{key}</Key><Size>40</Size><ETag>x</ETag>"
            "<LastModified>2026-11-22T00:00:00.000Z</LastModified></Contents>"
            for key in found
        )
        head = f"<Name>bucket</Name><KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>"
        body = f"<ListBucketResult>{head}{listed}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def bucket(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield Bucket
    server.shutdown()
    server.server_close()
    Bucket.keys = ()


def test_bucket_that_is_not_empty_stops_a_centre_without_log_and_database(site, station, bucket):
    config = site.model_copy(update={"store": site.store.model_copy(update={"url": "s3://bucket/evidence"})})
    bucket.keys = tuple(f"evidence/{name}" for name in station.store)

    with pytest.raises(StateError, match="the store s3://bucket/evidence holds originals/"):
        started(config)

    bucket.keys = ()
    first = started(config)
    bucket.keys = tuple(f"evidence/{name}" for name in station.store)
    assert started(config) == first
