"""The API: what its description promises holds, tokens open what they may, and an import is whole or nothing."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from ingestd.decisions import Person
from ingestd.errors import RefusedError
from ingestd.rules import Policy
from ingestd.stats.make import make
from ingestd.web.api.tokens import Known, Scope, create, fresh, revoke
from ingestd.web.app import create_app
from tests.fakes import audit_story
from tests.fakes.audited import audited_world, ingestd
from tests.fakes.centre_station import FakeStation
from tests.fakes.centre_world import World
from tests.ingestd.test_pipeline import registers

DESCRIPTION = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"
WHO = Person("甲", "对接办案系统")
POLICY = Policy()
EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))


def app_of(world):
    now = lambda: datetime.fromtimestamp(world.clock.ms / 1000, UTC)  # noqa: E731
    return create_app(
        world.queries,
        None,
        now=now,
        policy=POLICY,
        counted=lambda by, bounds, now_ms: make(world.queries, by, bounds, now_ms, POLICY),
        viewed=world.pipeline.viewed,
        tokens=Known(world.queries.token, lambda: world.clock.ms),
        importer=lambda data, name, dry_run: world.pipeline.import_cases(data, name, dry_run=dry_run),
    )


@pytest.fixture
def world(tmp_path, database_url):
    made = World(tmp_path, database_url, [FakeStation()]).started()
    yield made
    assert made.compared().outcome == 0
    made.close()


@pytest.fixture
def visitor(world):
    return TestClient(app_of(world))


def token(world, *scopes, name="oa", days=30):
    made = fresh(world.clock.ms)
    world.pipeline.decide(create(made, name, scopes, days, WHO))
    return made


def bearer(made):
    return {"Authorization": f"Bearer {made.shown}"}


def send(visitor, data, headers=None, **query):
    asked = {"name": "cases.json", **query}
    return visitor.post("/api/v1/imports", params=asked, content=data, headers=headers or {})


# What the description promises.


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    world = World(folder, f"sqlite:///{folder}/index.db", [FakeStation()]).started()
    audit_story.tell(world)
    yield schemathesis.openapi.from_asgi("/openapi.json", app_of(world))
    world.close()


OPERATIONS = [
    *(("GET", f"/api/v1/{name}") for name in ("summary", "clips", "actions", "flags", "cases", "stats")),
    *(("GET", f"/api/v1/{name}") for name in ("clips/{object_id}", "actions/{action_id}", "flags/{flag_id}")),
    ("POST", "/api/v1/imports"),
    ("GET", "/healthz"),
]


def test_every_operation_is_tried(described):
    assert sorted((one.ok().method.upper(), one.ok().path) for one in described.get_all_operations()) == sorted(
        OPERATIONS
    )


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_is_found_that_the_description_does_not_promise(described, method, path, mode):
    """Right questions are answered as described, wrong ones refused as described, none with a failure of ours."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate()

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE


def test_description_is_the_one_that_is_published(visitor):
    """``docs/api/openapi.json`` is what other systems build on; ``python -m ingestd.web.api`` makes it again."""
    assert json.loads(DESCRIPTION.read_text()) == visitor.get("/openapi.json").json()


def test_every_list_is_walked_to_its_end_by_next(world, visitor):
    audit_story.tell(world)
    for name, most in (("actions", 7), ("clips", 30), ("flags", 50), ("cases", 40)):
        found, after = [], ""
        while after is not None:
            page = visitor.get(f"/api/v1/{name}", params={"limit": most, "after": after}).json()
            found += page[name]
            after = page["next"]
        whole = visitor.get(f"/api/v1/{name}", params={"limit": 500}).json()
        assert (found, whole["next"]) == (whole[name], None)
        assert len(found) > most


def test_single_things_and_the_view_of_a_clip(world, visitor):
    audit_story.tell(world)
    clip = visitor.get("/api/v1/clips", params={"limit": 1}).json()["clips"][0]["object_id"]
    made = token(world, Scope.READ)
    assert visitor.get(f"/api/v1/clips/{clip}", headers=bearer(made)).json()["row"]["object_id"] == clip
    [view] = world.queries.clip(clip).views
    assert view.actor == "token oa"
    flag = visitor.get("/api/v1/flags", params={"limit": 1}).json()["flags"][0]
    assert visitor.get(f"/api/v1/flags/{flag['flag_id']}").json() == flag
    assert visitor.get("/api/v1/actions/A1").json()["action"]["action_id"] == "A1"
    for nothing in ("clips/x", "actions/x", "flags/x"):
        assert visitor.get(f"/api/v1/{nothing}").status_code == 404
    assert visitor.get("/api/v1/stats", params={"by": "unit"}).json()["total"]["must"] == 100


@pytest.mark.parametrize("query", ["linked=maybe", "limit=501", "unknown=1", "from=yesterday", "kind=film"])
def test_what_is_not_usable_is_said(visitor, query):
    answer = visitor.get(f"/api/v1/clips?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert query.split("=")[0] in answer.json()["detail"]


# Tokens.


def test_an_import_needs_a_token_that_may(world, visitor):
    data = registers()
    reads, may = token(world, Scope.READ), token(world, Scope.READ, Scope.IMPORT, name="oa 2")
    assert [send(visitor, data, headers).status_code for headers in (None, bearer(reads))] == [401, 403]
    assert world.queries.actions().rows == ()

    answer = send(visitor, data, bearer(may))

    assert (answer.status_code, answer.json()["ok"], answer.json()["changed"]["actions"]) == (200, True, 1)
    assert send(visitor, data, bearer(may)).json()["changed"]["actions"] == 0
    assert len(world.queries.actions().rows) == 1


def test_a_token_that_does_not_hold_opens_nothing_not_even_what_is_open(world, visitor):
    made = token(world, Scope.READ, days=1)
    twisted = made.shown[:-1] + ("A" if made.shown[-1] != "A" else "B")
    other = fresh(world.clock.ms)
    for shown in (twisted, other.shown, "bwc", made.shown.replace("bwc_", "bwc_x"), "", made.shown + "\u00e9"):
        headers = {"Authorization": f"Bearer {shown}".encode("latin-1")}
        answer = visitor.get("/api/v1/summary", headers=headers)
        assert answer.status_code == (401 if shown else 200), shown
        assert shown == "" or answer.headers["www-authenticate"] == "Bearer"
    assert visitor.get("/api/v1/summary", headers=bearer(made)).status_code == 200
    world.clock.ms += 24 * 3_600_000
    assert visitor.get("/api/v1/summary", headers=bearer(made)).status_code == 401


def test_a_revoked_token_is_over_at_once_and_its_secret_stands_nowhere(world, visitor, tmp_path):
    made = token(world, Scope.READ)
    world.pipeline.decide(revoke(made.token_id, WHO))
    assert visitor.get("/api/v1/summary", headers=bearer(made)).status_code == 401
    with pytest.raises(RefusedError, match="no token"):
        world.pipeline.decide(revoke(made.token_id, WHO))
    token(world, Scope.READ)
    with pytest.raises(RefusedError, match="in force"):
        token(world, Scope.READ)
    secret = made.shown.rsplit("_", 1)[1].encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


# Imports.


def test_rows_that_are_not_usable_are_named_and_nothing_is_imported(world, visitor):
    may = bearer(token(world, Scope.IMPORT))
    wrong = registers().replace(b'"seizure"', b'"stroll"')
    answer = send(visitor, wrong, may)
    assert (answer.status_code, answer.json()["ok"]) == (422, False)
    [error] = answer.json()["errors"]
    assert (error["value"], bool(error["reason_zh"]), bool(error["reason_en"])) == ("stroll", True, True)
    assert world.queries.actions().rows == ()


def test_a_dry_run_changes_nothing_and_says_what_would(world, visitor):
    may = bearer(token(world, Scope.IMPORT))
    before = world.events()
    answer = send(visitor, registers(), may, dry_run="true")
    assert (answer.status_code, answer.json()["changed"]["actions"], answer.json()["dry_run"]) == (200, 1, True)
    assert world.events() == before


@pytest.mark.parametrize("name", ["cases.exe", "../cases.json", "cases", "a/b.csv"])
def test_a_name_that_is_no_file_of_ours_is_refused(world, visitor, name):
    assert send(visitor, b"{}", bearer(token(world, Scope.IMPORT)), name=name).status_code == 400


@pytest.mark.parametrize(("name", "data"), [("x.json", b"{"), ("x.xlsx", b"no"), ("x.csv", b"\xff\xfe\x00")])
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(world, visitor, name, data):
    answer = send(visitor, data, bearer(token(world, Scope.IMPORT)), name=name)
    assert answer.status_code in {400, 422}, answer.text


def test_too_large_a_file_is_refused_before_it_is_read(world, visitor):
    may = {**bearer(token(world, Scope.IMPORT)), "content-length": str(1 << 40)}
    assert send(visitor, b"{}", may).status_code == 413


def test_commands(tmp_path):
    world = audited_world(tmp_path)
    data = ("--data-dir", world.folder)
    made = json.loads(
        ingestd(
            "tokens", "create", "--name", "oa", "--scope", "import", "--by", "甲", "--reason", "x", "--json", *data
        ).out
    )
    assert made["token"].startswith(f"bwc_{made['id']}_")
    listed = ingestd("tokens", "list", *data).out
    assert ("oa" in listed, made["token"].rsplit("_", 1)[1] in listed) == (True, False)
    assert ingestd("tokens", "revoke", made["id"], "--by", "甲", "--reason", "x", *data).code == 0
    assert "已吊销" in ingestd("tokens", "list", *data).out
