"""RFC 3161 through real programs: the commands of ingestd, an authority made of openssl, and openssl's own verdict."""

import base64
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import structlog
from cryptography import x509
from rfc3161_client import TimestampRequestBuilder
from typer.testing import CliRunner

from custody.checkpoint import NoteKey, cosign, parse_note
from ingestd import config as configuration
from ingestd import premises, service
from ingestd.anchors.tsa import HttpTsa, Trust
from ingestd.cli import app
from ingestd.errors import AnchorError, CentreError, ConfigError, TokenError
from tests.fakes.anchoring import OUTSIDER, OUTSIDER_KEY, OUTSIDER_NAME
from tests.rig.broker import free_port
from tests.rig.tsa import LocalTsa

pytestmark = pytest.mark.integration

AUTHORITY = "custody.example"
ORIGIN = f"{AUTHORITY}/centre"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def ingestd(*arguments):
    """The command in this process, as ``main`` runs it: starting Python costs more than all that is tested here."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(result.exception, CentreError):
        return Done(result.exception.exit_code, result.stdout, f"ingestd: {result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def facts(folder, *arguments, code=0):
    done = ingestd(*arguments, "--data-dir", folder, "--json")
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("tsa-a"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("tsa-b"), "tsa-b")


@pytest.fixture(autouse=True)
def _as_new(tsa, other):
    for one in (tsa, other):
        one.asked.clear()
        one.status, one.content_type, one.failures = 200, "application/timestamp-reply", 0


def centre(folder, *sections):
    """A centre with keys and a first entry in its log."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ingestd.toml").write_text(
        f'[centre]\nauthority = "{AUTHORITY}"\n[paths]\ndata = "central"\n'
        '[keys]\ncustody = "central/keys/custody.pem"\n[store]\nurl = "store"\n[database]\nurl = "sqlite:///central/index.db"\n'
        f'[anchors]\nwitnesses = ["{OUTSIDER_KEY.vkey()}"]\n' + "".join(sections)
    )
    assert ingestd("init", "--data-dir", folder).returncode == 0
    built = service.build(configuration.load(folder / "ingestd.toml"))
    built.pipeline.record([("log.recovered", {"reason": "a first entry"})])
    built.engine.dispose()
    return folder


def log_size(folder):
    return (folder / "central" / "log" / "entries.jsonl").read_bytes().count(b"\n")


def vkey(folder):
    return premises.centre_key(configuration.load(folder / "ingestd.toml")).vkey()


def test_a_checkpoint_is_stamped_kept_logged_listed_and_verified_by_us_and_by_openssl(tmp_path, tsa):
    with tsa.serving() as url:
        folder = centre(tmp_path / "c", tsa.section(url))
        size = log_size(folder)
        assert facts(folder, "anchors", "run")["anchored"] == [{"size": size, "kind": "rfc3161", "name": "tsa-a"}]
        assert facts(folder, "anchors", "run")["anchored"] == []
    assert len(tsa.asked) == 1
    [row] = facts(folder, "anchors", "list")["anchors"]
    assert (row["size"], row["name"]) == (size, "tsa-a")
    report = facts(folder, "anchors", "verify")
    assert (report["ok"], report["log"]["size"]) == (True, size + 1)
    kept = folder / "central" / "anchors" / str(size)
    assert tsa.accepts(kept / "checkpoint", kept / "tsa-a.tsr")
    assert not tsa.accepts(tsa.cert, kept / "tsa-a.tsr"), "other bytes"


def test_an_audit_and_its_report_know_anchors_of_every_key_of_the_centre(tmp_path, tsa):
    with tsa.serving() as url:
        folder = centre(tmp_path / "c", tsa.section(url))
        facts(folder, "anchors", "run")
        assert ingestd("keys", "rotate", "--data-dir", folder, "--by", "a", "--by", "b").returncode == 0
        facts(folder, "anchors", "run", "--force")
    assert len(facts(folder, "anchors", "verify")["anchors"]) == 2
    audit = facts(folder, "audit", "verify", code=2)
    report = facts(folder, "audit", "report", "--out", tmp_path / "r", "--html-only", code=2)
    for found in (audit, report):
        assert {one["verdict"] for one in found["findings"]} <= {"nothing-checked"}, found["findings"]


def test_several_authorities_one_of_them_down(tmp_path, tsa, other):
    with tsa.serving() as url:
        closed = f"http://127.0.0.1:{free_port()}/tsr"
        folder = centre(tmp_path / "c", tsa.section(url), other.section(closed))
        done = facts(folder, "anchors", "run", code=2)
    assert [one["name"] for one in done["anchored"]] == ["tsa-a"]
    assert f"tsa-b: {closed} did not answer" in done["failures"][0]
    assert facts(folder, "anchors", "verify")["ok"] is True, "one authority is enough for the series"
    with other.serving() as url:
        text = (folder / "ingestd.toml").read_text().replace(closed, url)
        (folder / "ingestd.toml").write_text(text)
        assert [one["name"] for one in facts(folder, "anchors", "run", "--force", code=2)["anchored"]] == ["tsa-b"]
    assert len(facts(folder, "anchors", "verify")["anchors"]) == 2


def test_an_authority_that_stumbles_is_asked_again(tmp_path, tsa):
    tsa.failures = 2
    with tsa.serving() as url:
        folder = centre(tmp_path / "c", tsa.section(url))
        assert len(facts(folder, "anchors", "run")["anchored"]) == 1
    assert len(tsa.asked) == 3


def test_changed_data_changed_token_wrong_authority(tmp_path, tsa, other):
    with tsa.serving() as url:
        folder = centre(tmp_path / "c", tsa.section(url))
        [anchored] = facts(folder, "anchors", "run")["anchored"]
    kept = folder / "central" / "anchors" / str(anchored["size"])
    note, token = (kept / "checkpoint").read_bytes(), (kept / "tsa-a.tsr").read_bytes()

    wrong_root = base64.b64encode(b"r" * 32)
    (kept / "checkpoint").write_bytes(note.replace(note.split(b"\n")[2], wrong_root))
    report = facts(folder, "anchors", "verify", code=1)
    assert {"sig-bad"} == {one["finding"] for one in report["findings"]} - {"anchor-missing"}
    assert not tsa.accepts(kept / "checkpoint", kept / "tsa-a.tsr")

    (kept / "checkpoint").write_bytes(note)
    (kept / "tsa-a.tsr").write_bytes(token[:-3] + bytes([token[-3] ^ 1]) + token[-2:])
    report = facts(folder, "anchors", "verify", code=1)
    assert "anchor-mismatch" in {one["finding"] for one in report["findings"]}

    (kept / "tsa-a.tsr").write_bytes(token)
    text = (folder / "ingestd.toml").read_text()
    (folder / "ingestd.toml").write_text(text.replace(str(tsa.ca), str(other.ca)))
    report = facts(folder, "anchors", "verify", code=1)
    assert report["anchors"][0]["verdict"] == "failed"
    (folder / "ingestd.toml").write_text(text)
    assert facts(folder, "anchors", "verify")["ok"] is True


def test_a_log_signed_anew_with_the_stolen_centre_key_no_longer_fits(tmp_path, tsa):
    """Attacks 13 and 15, with the tokens that the second organisation kept."""
    with tsa.serving() as url:
        folder = centre(tmp_path / "c", tsa.section(url))
        facts(folder, "anchors", "run")
        shutil.copytree(folder / "central" / "anchors", tmp_path / "kept-by-others")
        keys = folder / "central" / "keys"
        insider = tmp_path / "insider"
        shutil.copytree(keys, insider / "central" / "keys")
        centre(insider, tsa.section(url))
        facts(insider, "anchors", "run")
    assert facts(insider, "anchors", "verify")["ok"] is True
    report = facts(insider, "anchors", "verify", "--copy", tmp_path / "kept-by-others", code=1)
    assert "anchor-mismatch" in {one["finding"] for one in report["findings"]}


def test_without_anybody_outside_the_caveat_is_said_and_nothing_is_ok(tmp_path):
    folder = centre(tmp_path / "c")
    text = (folder / "ingestd.toml").read_text()
    (folder / "ingestd.toml").write_text(text[: text.index("[anchors]")])
    report = facts(folder, "anchors", "verify", code=2)
    assert "rewrite the past unseen" in report["caveat"]["en"].replace("\n", " ")
    done = ingestd("anchors", "run", "--data-dir", folder)
    assert done.returncode == 2
    assert "未配置外部锚定" in done.stderr


def test_a_file_drop_is_answered_by_the_openssl_command(tmp_path, tsa):
    section = (
        f'[[anchors.tsa]]\nname = "air"\ntransport = "file"\ndrop = "drop"\nca = "{tsa.ca}"\ntsa_cert = "{tsa.cert}"\n'
    )
    folder = centre(tmp_path / "c", section)
    assert facts(folder, "anchors", "run")["waiting"] == ["air"]
    [question] = (folder / "drop").glob("air-*.tsq")
    question.with_suffix(".tsr").write_bytes(tsa.answer(question.read_bytes()))
    size = int(question.stem.removeprefix("air-"))
    assert facts(folder, "anchors", "run")["anchored"] == [{"size": size, "kind": "rfc3161", "name": "air"}]
    assert facts(folder, "anchors", "verify")["ok"] is True


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"status": 500}, "answered 500"), ({"content_type": "text/html"}, "text/html")],
)
def test_an_answer_that_is_none_is_no_token(tsa, settings, words):
    for name, value in settings.items():
        setattr(tsa, name, value)
    with tsa.serving() as url, pytest.raises(AnchorError, match=words):
        HttpTsa("tsa-a", url, tsa.trust(), tsa.ca).ask(1, b"data")


def test_no_redirection_is_followed_and_no_huge_answer_read(tsa, monkeypatch):
    tsa.status = 307
    with tsa.serving() as url, pytest.raises(AnchorError, match="307"):
        HttpTsa("tsa-a", url, tsa.trust(), tsa.ca).ask(1, b"data")
    tsa.status = 200
    monkeypatch.setattr(tsa, "answer", lambda _query: b"x" * 300_000)
    with tsa.serving() as url, pytest.raises(AnchorError, match="too large"):
        HttpTsa("tsa-a", url, tsa.trust(), tsa.ca).ask(1, b"data")


def test_a_token_over_other_data_or_for_another_question_is_refused(tsa, monkeypatch):
    asked = HttpTsa("tsa-a", "http://127.0.0.1:9/", tsa.trust(), tsa.ca)
    first: list[bytes] = []
    answer = tsa.answer
    monkeypatch.setattr(tsa, "answer", lambda query: first[0] if first else answer(query))
    with tsa.serving() as url:
        asked = HttpTsa("tsa-a", url, tsa.trust(), tsa.ca)
        first.append(asked.ask(1, b"data") or b"")
        with pytest.raises(TokenError, match="Nonce"):
            asked.ask(1, b"data")
        with pytest.raises(TokenError, match=r"Nonce|Mismatch"):
            asked.ask(1, b"other data")
    with pytest.raises(TokenError, match="Mismatch"):
        tsa.trust().check(first[0], b"other data")
    assert tsa.trust().check(first[0], b"data") > 0


@pytest.mark.parametrize("usage", ["timeStamping", "critical,clientAuth"])
def test_only_a_certificate_for_time_stamping_is_believed(tsa, usage):
    """The same key, name and serial number in a certificate without the critical extension (RFC 3161 §2.3)."""
    query = TimestampRequestBuilder().data(b"data").cert_request(cert_request=False).build()
    token = tsa.answer(query.as_bytes())
    good = tsa.trust()
    assert good.check(token, b"data") > 0
    poor = Trust(x509.load_pem_x509_certificate(tsa.reissued(usage).read_bytes()), good.roots)
    with pytest.raises(TokenError, match="certificate purpose"):
        poor.check(token, b"data")


def test_certificates_that_cannot_be_used_are_said_at_once(tmp_path, tsa):
    folder = centre(tmp_path / "c", tsa.section("http://127.0.0.1:9/").replace(str(tsa.ca), str(tsa.cert)))
    done = ingestd("anchors", "run", "--data-dir", folder)
    assert done.returncode == ConfigError.exit_code
    assert "a root certificate" in done.stderr
    (folder / "ingestd.toml").write_text((folder / "ingestd.toml").read_text().replace(str(tsa.cert), "absent.pem"))
    for command in (("anchors", "verify"), ("config", "check")):
        assert "absent.pem: cannot be read" in ingestd(*command, "--data-dir", folder).stderr


class TestWitnessCommand:
    @pytest.fixture
    def folder(self, tmp_path):
        return centre(tmp_path / "c")

    def witness(self, tmp_path, folder, *more):
        common = ("--state", tmp_path / "w", "--centre-vkey", vkey(folder), "--key", tmp_path / "w.pem")
        done = ingestd("witness", *common, "--name", OUTSIDER_NAME, "--make-key", "--json", *more)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    def test_from_stick_to_stick(self, tmp_path, folder):
        _, said = self.witness(tmp_path, folder)
        assert NoteKey.parse(said["vkey"]).name == OUTSIDER_NAME
        text = (folder / "ingestd.toml").read_text().replace(OUTSIDER_KEY.vkey(), said["vkey"])
        (folder / "ingestd.toml").write_text(text)

        facts(folder, "anchors", "publish", tmp_path / "stick")
        size, note = log_size(folder), tmp_path / "note"
        code, said = self.witness(tmp_path, folder, "--source", tmp_path / "stick", "--out", note)
        assert (code, said["size"], said["before"]) == (0, size, None)
        assert facts(folder, "anchors", "add-witness", note)["anchored"][0]["kind"] == "witness"
        assert facts(folder, "anchors", "verify")["ok"] is True

        facts(folder, "anchors", "publish", tmp_path / "stick")
        code, said = self.witness(tmp_path, folder, "--source", tmp_path / "stick")
        assert (code, said["size"], said["before"]) == (0, size + 1, size)

    def test_a_fork_is_refused_with_exit_1_and_silence_with_exit_2(self, tmp_path, folder):
        facts(folder, "anchors", "publish", tmp_path / "stick")
        assert self.witness(tmp_path, folder, "--source", tmp_path / "stick")[0] == 0
        insider = tmp_path / "insider"
        shutil.copytree(folder / "central" / "keys", insider / "central" / "keys")
        facts(centre(insider), "anchors", "publish", tmp_path / "forked")
        code, said = self.witness(tmp_path, folder, "--source", tmp_path / "forked")
        assert (code, said["finding"], said["ok"]) == (1, "log-forked", False)
        code, said = self.witness(tmp_path, folder, "--source", tmp_path / "absent")
        assert (code, said["finding"]) == (2, "nothing-checked")
        code, said = self.witness(tmp_path, folder, "--source", f"http://127.0.0.1:{free_port()}")
        assert (code, said["finding"]) == (2, "nothing-checked")

    @pytest.mark.parametrize(
        ("option", "value", "says"),
        [("--centre-vkey", OUTSIDER_KEY.vkey(), "not of a cosigner"), ("--name", "no name", "--name: such as")],
    )
    def test_wrong_options_are_one_clear_sentence(self, tmp_path, folder, option, value, says):
        options = {"--state": tmp_path / "w", "--centre-vkey": vkey(folder), "--name": OUTSIDER_NAME, option: value}
        done = ingestd("witness", "--key", tmp_path / "w.pem", "--make-key", *(x for o in options.items() for x in o))
        assert done.returncode == ConfigError.exit_code
        assert says in done.stderr

    def test_a_note_for_another_past_is_refused_at_the_centre(self, tmp_path, folder):
        insider = tmp_path / "insider"
        shutil.copytree(folder / "central" / "keys", insider / "central" / "keys")
        facts(centre(insider), "anchors", "publish", tmp_path / "forked")
        bare = json.loads((tmp_path / "forked" / "checkpoint.json").read_text())["checkpoint"].encode()
        (tmp_path / "note").write_bytes(cosign(parse_note(bare), OUTSIDER_NAME, OUTSIDER, 1_795_380_000))
        said = facts(folder, "anchors", "add-witness", tmp_path / "note", code=1)
        assert said["finding"] == "anchor-mismatch"

    def test_over_the_centres_own_pages(self, tmp_path, folder):
        """The real service in a process of its own: pages, the thread that anchors, and a witness over HTTP."""
        tsa = LocalTsa(tmp_path / "tsa")
        port = free_port()
        with tsa.serving() as url:
            with (folder / "ingestd.toml").open("a") as file:
                file.write(f"{tsa.section(url)}[web]\nport = {port}\n[mqtt]\nport = {free_port()}\n")
            argv = [sys.executable, "-m", "ingestd.cli", "run", "--data-dir", str(folder)]
            with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as served:
                try:
                    until(lambda: list((folder / "central" / "anchors").glob("*/*.tsr.logged")))
                    until(lambda: self.witness(tmp_path, folder, "--source", f"http://127.0.0.1:{port}")[0] == 0)
                    code, said = self.witness(tmp_path, folder, "--source", f"http://127.0.0.1:{port}")
                finally:
                    served.terminate()
        assert (code, served.returncode) == (0, 0)
        assert said["before"] == said["size"] >= 1
        assert len(tsa.asked) == 1
        assert facts(folder, "anchors", "verify")["ok"] is True


def until(holds, patience_s=60):
    give_up = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.1)
