"""``ingestd audit report``: signed pages that say what was checked and what was not, and exit codes of the check."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from custody.checkpoint import NoteKey
from custody.sm2 import Sm2Signer
from custody.verdicts import Finding, Outcome, Verdict
from ingestd.anchors.verify import Checked
from ingestd.anchors.verify import Report as AnchorReport
from ingestd.audit import report_pdf
from ingestd.audit.chain import Chain
from ingestd.audit.found import Bad, Report
from ingestd.audit.report import check
from ingestd.audit.report_facts import facts_of, findings, not_checked, outcome_of
from ingestd.audit.report_pages import MOST_FINDINGS, page
from ingestd.audit.run import Run
from ingestd.errors import AuditError
from tests.conftest import missing
from tests.fakes.audited import CASE, audited_world, ingestd
from tests.fakes.bundle import BundleWorld
from tests.fakes.bundle_forger import flip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return audited_world(tmp_path_factory.mktemp("made"))


@pytest.fixture
def world(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "c")
    return BundleWorld(tmp_path / "c", made.station, made.clips)


def report(world, out, *options):
    return ingestd("audit", "report", "--json", "--data-dir", world.folder, "--out", out, *options)


def text(pdf: Path) -> str:
    if shutil.which("pdftotext") is None:
        missing("pdftotext")
    return subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True).stdout


def checks(folder: Path, centre: str) -> list[int]:
    """The commands that the report itself names."""
    if shutil.which("ssh-keygen") is None:
        missing("ssh-keygen")
    key = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "centre.pem", "-rawin"]
    ssh = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", centre, "-n", "bwc-report"]
    commands = [
        (["sha256sum", "--strict", "-c", "SHA256SUMS"], b""),
        ([*key, "-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.ed25519"], b""),
        ([*ssh, "-s", "SHA256SUMS.sshsig"], (folder / "SHA256SUMS").read_bytes()),
    ]
    return [
        subprocess.run(argv, input=data, cwd=folder, capture_output=True, check=False).returncode
        for argv, data in commands
    ]


def test_report_is_written_signed_and_says_the_same_in_both_languages(made, tmp_path):
    said = report(made, tmp_path / "r", "--clip", made.clips[0])

    assert (said.code, said.facts["ok"], said.facts["pdf"]) == (0, True, "yes")
    facts = json.loads((tmp_path / "r" / "report.json").read_text())
    zh, en = ((tmp_path / "r" / f"report.{tag}.html").read_text() for tag in ("zh-CN", "en"))
    for told in (zh, en):
        assert facts["id"] in told
        assert all(log["root"].replace("+", "&#43;") in told or log["root"] in told for log in facts["verify"]["logs"])
        assert "DCIM/1.MP4; uncached" in told
    assert "6 个原始文件中有 5 个未被重新读取" in zh
    assert "5 of 6 originals were not re-read" in en
    assert [one["event"] for one in facts["chains"][0]["events"]][:2] == ["ingest.seen", "ingest.copied"]
    assert checks(tmp_path / "r", facts["centre"]) == [0, 0, 0]
    assert facts["checkpoints"].keys() == {"custody.example/centre", "custody.example/station-01"}


def test_report_names_the_head_of_every_log_that_lies_here(world, tmp_path):
    """Stations that two people let in stand in no configuration."""
    mirrors = world.folder / "central" / "mirrors"
    shutil.copytree(mirrors / "station-01", mirrors / "station-07")

    report(world, tmp_path / "r", "--html-only")

    facts = json.loads((tmp_path / "r" / "report.json").read_text())
    assert facts["checkpoints"].keys() == {f"custody.example/{name}" for name in ("centre", "station-01", "station-07")}


def test_pdf_holds_the_same_words(made, tmp_path):
    report(made, tmp_path / "r", "--case", CASE)
    zh, en = text(tmp_path / "r" / "report.zh-CN.pdf"), text(tmp_path / "r" / "report.en.pdf")
    assert "与记录一致" in zh
    assert "没有核验什么" in zh
    assert CASE in zh
    assert "as recorded" in en


def test_report_names_the_key_that_signed_it_after_the_centre_changed_its_key(world, tmp_path):
    before = json.loads(report(world, tmp_path / "a", "--html-only").out)["ok"]
    said = ingestd("keys", "rotate", "--data-dir", world.folder, "--by", "甲", "--by", "乙", "--json")
    assert (before, said.code) == (True, 0), said.err
    assert report(world, tmp_path / "b", "--html-only").code == 0

    told = json.loads((tmp_path / "b" / "report.json").read_bytes())
    pem = load_pem_public_key((tmp_path / "b" / "centre.pem").read_bytes())
    assert NoteKey.parse(told["key"]).key.raw == pem.public_bytes_raw()
    assert told["key"] != json.loads((tmp_path / "a" / "report.json").read_bytes())["key"]


def test_any_altered_file_of_the_report_is_found(made, tmp_path):
    report(made, tmp_path / "r", "--html-only")
    for path in sorted((tmp_path / "r").iterdir()):
        right = path.read_bytes()
        flip(path)
        assert any(checks(tmp_path / "r", "custody.example/centre")), path.name
        path.write_bytes(right)
    assert checks(tmp_path / "r", "custody.example/centre") == [0, 0, 0]


def test_same_facts_give_the_same_bytes(made, tmp_path):
    report(made, tmp_path / "r", "--html-only", "--sample", "2")
    facts = json.loads((tmp_path / "r" / "report.json").read_text())
    for language, tag in (("zh", "zh-CN"), ("en", "en")):
        assert page(facts, language) == (tmp_path / "r" / f"report.{tag}.html").read_text()


def test_failure_is_told_and_is_exit_1(world, tmp_path):
    name = next(name for name in world.station.store if world.clips[2] in name)
    (world.store / name).write_bytes(b"other")

    said = report(world, tmp_path / "r", "--html-only")

    assert said.code == 1
    zh = (tmp_path / "r" / "report.zh-CN.html").read_text()
    assert "与记录不符" in zh
    assert "DCIM/3.MP4" in zh
    assert name in zh


def test_nothing_checked_is_said_in_red_and_is_exit_2(made, tmp_path):
    said = report(made, tmp_path / "r", "--html-only", "--case", "none")

    assert said.code == 2
    for tag, sentence in (("zh-CN", "没有核验任何原始文件"), ("en", "No original was verified")):
        told = (tmp_path / "r" / f"report.{tag}.html").read_text()
        assert f'<div class="banner bad"><b>{sentence}' in told
        assert 'class="banner good"' not in told


def test_seed_is_told_and_how_to_draw_again(made, tmp_path):
    report(made, tmp_path / "r", "--html-only", "--sample", "2", "--seed", "骰子 4 2")
    told = (tmp_path / "r" / "report.zh-CN.html").read_text()
    assert "骰子 4 2" in told
    assert "bwc-sample/v1" in told


def test_outcome_of_the_report_is_recorded_when_asked(world, tmp_path):
    assert report(world, tmp_path / "r", "--html-only", "--record").facts["recorded"] == "yes"
    assert "audit.done" in (tmp_path / "r" / "report.en.html").read_text()


def test_without_a_font_or_the_library_the_pages_are_there_and_exit_is_2(made, tmp_path, monkeypatch):
    monkeypatch.setattr(report_pdf.shutil, "which", lambda _name: None)
    said = report(made, tmp_path / "r")

    assert (said.code, said.facts["pdf"], said.facts["ok"]) == (2, "no", True)
    assert said.err.count("no PDF") == 1
    assert (tmp_path / "r" / "report.zh-CN.html").exists()
    assert not (tmp_path / "r" / "report.zh-CN.pdf").exists()


def test_absent_library_and_absent_font_are_each_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "fc-list").write_text("#!/bin/sh\n")
    (tmp_path / "fc-list").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AuditError, match="no Chinese font"):
        report_pdf.pdf("<p>x</p>")
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    with pytest.raises(AuditError, match="WeasyPrint cannot be loaded"):
        report_pdf.pdf("<p>x</p>")


def test_pdf_reads_nothing_from_elsewhere(tmp_path):
    (tmp_path / "secret.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><text>SECRET</text></svg>')
    made = tmp_path / "x.pdf"
    made.write_bytes(report_pdf.pdf(f'<p>here</p><img src="file://{tmp_path}/secret.svg" alt="">'))
    assert "SECRET" not in text(made)
    assert "here" in text(made)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [(["--clip", "x"] * 21, "at most 20 clips"), (["--sample", "none"], "--sample 'none'")],
)
def test_what_cannot_be_asked_writes_nothing(made, tmp_path, options, wrong):
    said = report(made, tmp_path / "r", *options)
    assert (said.code, (tmp_path / "r").exists()) == (2, False)
    assert wrong in said.err


def test_taken_name_is_said_before_anything_is_read(made, tmp_path):
    (tmp_path / "r").mkdir()
    assert report(made, tmp_path / "r").code == 2
    assert report(made, tmp_path / "none" / "r").code == 2


def test_only_ed25519_signs_reports(tmp_path):
    with pytest.raises(AuditError, match="Ed25519"):
        check(Sm2Signer.generate(), tmp_path / "r")


# What the pages say, from made-up facts


def run_of(found: Report) -> Run:
    return Run(found, 1_795_000_000_000, 1_795_000_060_000, "甲", "host", "ingestd 0", recorded=False)


def good(**more) -> Report:
    return Report({Verdict.VERIFIED: 2}, announced=2, selected=2, **more)


def facts(found: Report, anchors: AnchorReport | None = None, *chains: Chain):
    told = {"report_id": "r1", "centre": "c.example/centre", "vkey": "v", "zone": "Asia/Shanghai"}
    return facts_of(run_of(found), anchors, chains, {}, **told)


def test_names_from_recorders_cannot_write_the_page():
    evil = Bad(Verdict.FAILED, "<script>alert(1)</script>", path="\x1b[31m<b>\u202e", name="&")
    told = page(facts(Report({Verdict.FAILED: 1}, findings=[evil])), "zh")
    assert "<script>" not in told
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_thousands_of_findings_are_counted_not_dropped():
    many = [Bad(Verdict.MISSING, f"r{number}") for number in range(MOST_FINDINGS + 7)]
    told = page(facts(Report({Verdict.MISSING: len(many)}, findings=many)), "en")
    assert "and 7 more, in report.json" in told


def test_configured_anchors_count_and_absent_ones_are_said():
    anchors = AnchorReport("c.example/centre", 5, "root")
    anchors.anchors.append(Checked(5, "rfc3161", "tsa-a", Verdict.VERIFIED, 1_795_000_000_000))
    assert facts(good(), anchors)["outcome"] == 0
    anchors.note(Finding.ANCHOR_MISMATCH, "rewritten")
    bad = facts(good(), anchors)
    assert bad["outcome"] == 1
    assert [one["verdict"] for one in findings(bad)] == ["anchor-mismatch"]
    assert "rewritten" in page(bad, "en")
    assert any("没有外部锚定" in one.zh for one in not_checked(facts(good())))
    assert not any("没有外部锚定" in one.zh for one in not_checked(facts(good(), anchors)))


def test_worst_part_decides():
    nothing = Chain("x")
    assert outcome_of(run_of(good()), None, [nothing]) is Outcome.COULD_NOT_CHECK
    assert outcome_of(run_of(Report({Verdict.FAILED: 1})), None, [nothing]) is Outcome.NOT_AS_RECORDED
    assert outcome_of(run_of(good()), None, []) is Outcome.OK


def test_results_of_before_and_unreadable_files_are_not_hidden():
    found = Report({Verdict.VERIFIED: 1, Verdict.UNREADABLE: 1}, announced=2, selected=2)
    found.earlier.add(1_795_000_000_000)
    said = [one.en for one in not_checked(facts(found))]
    assert any("1 results are of an interrupted run" in one for one in said)
    assert any("1 of the selected files could not be checked" in one for one in said)


def test_what_the_database_chose_is_said():
    said = [one.en for one in not_checked(facts(good(selection={"unit": "一大队", "from": "2026-11-01"})))]
    assert any("the database, which is no evidence" in one for one in said)
    assert any("recorder clocks" in one for one in said)
