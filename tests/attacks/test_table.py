"""The attack table of docs/security.md, one row after the other, each carried out as the attacker named would.

Each test says in its assertions which mechanism caught it: the very findings and the exit code of the command that a
person runs. ``house`` and ``anchored_house`` are proved clean before each test.
"""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from dataclasses import replace

import pytest

from custody.canonical import canonical_bytes
from custody.checkpoint import cosign, parse_note
from custody.envelope import seal
from custody.log import CHECKPOINT
from custody.merkle import leaf_hash
from custody.messages import Records
from custody.signer import Ed25519Signer
from ingestd.audit import verify_bundle
from ingestd.audit.export_sign import sshsig
from ingestd.audit.verify_bundle import UNSIGNED
from keystore.certificates import CUSTODY_USAGE
from station_agent import linux
from station_agent.clock import SystemClock
from station_agent.service import ingest_folder
from tests.attacks import insider
from tests.attacks.house import CENTRE_ORIGIN, COSIGNER, ORIGIN, STATION, run
from tests.conftest import ROOT
from tests.fakes.bundle_forger import resign_tags
from tests.integration.test_centre_mqtt import StationClient

STORED = "ingest.copied"
VERIFY_SH = ROOT / "ingestd/audit/templates/verify.sh"


def test_row_01_a_flipped_byte_of_an_original(house):
    insider.flip(house.originals()[0], 300)

    done = house.audit()

    assert (done.code, done.words, done.facts["failed"]) == (1, {"failed"}, 1)


def test_row_02_two_files_swapped(house):
    insider.swap(*house.originals()[:2])

    done = house.audit()

    assert (done.code, done.words, done.facts["failed"]) == (1, {"failed"}, 2)


def test_row_03_a_file_removed(house):
    house.originals()[0].unlink()

    done = house.audit()

    assert (done.code, done.words, done.facts["missing"]) == (1, {"missing"}, 1)


def test_row_03_a_file_without_a_record(house):
    real = house.originals()[0]
    real.with_stem(real.stem[:-2] + ("00" if real.stem[-2:] != "00" else "11")).write_bytes(b"planted")

    done = house.audit()

    assert (done.code, done.words, done.facts["unrecorded"]) == (1, {"unrecorded"}, 1)


def test_row_04_a_disk_that_gives_back_other_bytes_of_the_same_size(house, monkeypatch):
    """What a copier that compares sizes, or reads back its own page cache, calls a success."""
    card = house.folder / "card of another recorder"
    card.mkdir()
    (card / "new.MP4").write_bytes(bytes(9000))
    honest = linux.resident_pages
    rotten: list[int] = []

    def rots_once(fd: int, size: int) -> int:
        """The last moment before the copy is read back: it is on the disk and nowhere else."""
        if not rotten:
            with open(f"/proc/self/fd/{fd}", "r+b", buffering=0) as disk:  # noqa: PTH123  # it is opened for reading alone
                rotten.append(os.pwrite(disk.fileno(), b"\x01", size - 1))
                os.fsync(disk.fileno())
        return honest(fd, size)

    monkeypatch.setattr(linux, "resident_pages", rots_once)
    with house.station() as rooms:
        summary = ingest_folder(rooms, card)
    monkeypatch.undo()

    assert (rotten, summary.sealed, summary.failed, summary.complete) == ([1], 0, 1, False)
    [failed] = [one for one in insider.records(house.station_log) if one["event"] == "ingest.failed"]
    assert (failed["source"]["path"], failed["reason"]) == ("new.MP4", "reread-differs")
    house.sync()
    assert (house.verify_log().code, house.audit().code) == (0, 0)
    again = house.agent("ingest", card, "--offload-only")
    assert (again.code, again.facts["files"]["sealed"]) == (0, 1)


def test_row_05_an_entry_deleted(house):
    lines = insider.entries(house.station_log)
    insider.put(house.station_log, lines[:5] + lines[6:])
    insider.put(house.mirror, lines[:5] + lines[6:])

    by_station, by_centre = house.verify_log(), house.audit()

    assert (by_station.code, "seq-gap" in by_station.words) == (1, True)
    assert (by_centre.code, {"seq-gap", "log-truncated"} <= by_centre.words) == (1, True)


def test_row_05_an_entry_deleted_and_mended_with_the_stolen_key(house):
    """Each further mend needs the station's key, and meets the next mechanism."""
    key, right, kept = house.station_key, insider.entries(house.station_log), insider.records(house.station_log)
    del kept[5]
    mended = insider.chained(kept, key)

    only_renumbered = [*right[:5], *mended[:4], *mended[5:]]
    insider.put(house.station_log, only_renumbered)
    assert house.verify_log().words >= {"seq-duplicate"}

    stale = seal(canonical_bytes({**kept[5], "seq": 5}), [key])
    insider.put(house.station_log, [*right[:5], stale, *mended[6:]])
    assert house.verify_log().words >= {"prev-break"}

    filler = insider.chained([*kept, kept[-1]], key)
    insider.put(house.station_log, filler)
    assert house.verify_log().words >= {"root-mismatch"}


def test_row_06_an_entry_deleted_and_all_signed_anew_with_the_stolen_station_key(house):
    """Log and checkpoint agree with themselves; what the centre's witness signed, and the centre's leaves, do not."""
    insider.rewrite(house.station_log, ORIGIN, house.station_key, insider.without(STORED))

    by_station = house.verify_log()
    assert (by_station.code, by_station.words) == (1, {"log-truncated", "unrecorded"})

    insider.rewrite(house.station_log, ORIGIN, house.station_key, lambda records: [*records, records[-1], records[-1]])
    by_station = house.verify_log()
    assert (by_station.code, by_station.words) == (1, {"log-forked", "unrecorded"})

    insider.replace_folder(house.mirror, house.station_log)
    by_centre = house.audit()
    assert (by_centre.code, by_centre.words) == (1, {"mirror-mismatch", "unrecorded"})


def test_row_06_a_thief_who_removes_the_journal_too_is_found_when_he_speaks_to_the_centre(house):
    last = insider.stored(house.station_log)[-1]
    insider.rewrite(house.station_log, ORIGIN, house.station_key, insider.without(STORED))
    for path in (*(house.folder / "station").glob("journal.db*"), house.folder / "station" / "spool" / last["name"]):
        path.unlink()
    assert house.verify_log().code == 0, "nothing at the station knows any more"

    assert house.sync() == ["log-truncated"]

    assert "message-unverifiable" in house.open_flags()
    assert house.audit().code == 0, "the centre's copy is what it was"
    assert "log-truncated" in str(house.agent("status").facts["troubles"])
    assert (house.verify_log().code, house.verify_log().words) == (1, {"log-truncated"})


def test_row_07_the_end_of_the_station_log_cut_off_together_with_its_file(house):
    last = house.store / insider.stored(house.station_log)[-1]["name"]
    for folder in (house.station_log, house.mirror):
        lines, told = insider.entries(folder), [one["event"] for one in insider.records(folder)]
        insider.put(folder, lines[: max(i for i, event in enumerate(told) if event == STORED)])
        insider.sign_anew(folder, ORIGIN, house.station_key)
    house.spooled(last).unlink()
    last.unlink()

    by_station, by_centre = house.verify_log(), house.audit()

    assert (by_station.code, by_station.words >= {"log-truncated"}) == (1, True)
    assert (by_centre.code, by_centre.words >= {"log-truncated"}) == (1, True)


def test_row_08_a_forked_station_log_cosigned_anew_with_the_stolen_centre_key(house):
    """The cosignature is the thief's own; the centre log still names the leaves that were."""
    insider.rewrite(house.station_log, ORIGIN, house.station_key, insider.forging("note5.txt", b"another note"))
    note = parse_note((house.station_log / CHECKPOINT).read_bytes())
    cosigned = cosign(note, COSIGNER, house.witness_key, 1_800_000_000)
    insider.sql(
        house.folder / "station" / "journal.db", "UPDATE meta SET value = ? WHERE key = 'cosigned'", cosigned.decode()
    )
    leaf = leaf_hash(insider.entries(house.station_log)[-1]).hex()
    insider.sql(house.folder / "station" / "journal.db", "UPDATE meta SET value = ? WHERE key = 'last_leaf'", leaf)
    stored = next(path for path in house.originals() if path.read_bytes() == (house.card / "note5.txt").read_bytes())
    for path in (stored, house.spooled(stored)):
        path.write_bytes(b"another note")
    insider.replace_folder(house.mirror, house.station_log)

    assert house.verify_log().code == 0, "the station alone cannot know"
    done = house.audit()

    assert (done.code, done.words) == (1, {"mirror-mismatch"})


def test_row_09_entries_signed_with_a_key_nobody_enrolled(house):
    rogue = Ed25519Signer.from_seed(b"r" * 32)
    for folder in (house.station_log, house.mirror):
        insider.rewrite(folder, ORIGIN, rogue, lambda records: records)

    by_station, by_centre = house.verify_log(), house.audit()

    assert (by_station.code, by_station.words >= {"key-unknown"}) == (1, True)
    assert (by_centre.code, by_centre.words >= {"key-unknown"}) == (1, True)
    for folder in (house.station_log, house.mirror):
        (folder / CHECKPOINT).unlink()
    assert "key-unknown" in house.verify_log().words, "the entries themselves, not only their checkpoint"
    assert "key-unknown" in house.audit().words


@pytest.mark.integration
def test_row_10_messages_replayed_through_the_broker(house, broker):
    log = insider.entries(house.station_log)
    note = (house.station_log / CHECKPOINT).read_bytes()
    again = Records(ORIGIN, 0, tuple(log), note).encode()
    twice = Records(ORIGIN, len(log), tuple(log[-1:]), note).encode()
    before = insider.entries(house.centre_log)

    with house.serving(broker):
        station = StationClient(broker)
        answer = station.insist(lambda one: one.size == len(log) and one.entries, again)
        for _ in range(3):
            station.publish(again)
        station.insist(lambda one: one.size == len(log) and not one.entries, twice)
        station.close()

    after = insider.records(house.centre_log)[len(before) :]
    assert len(answer.entries) == len(house.originals()), "the receipts come again"
    assert [one["event"] for one in after] == ["config.changed", "message.quarantined", "flag.set"]
    assert after[1]["message"]["finding"] == "seq-duplicate"
    assert insider.entries(house.mirror) == log
    assert house.audit().code == 0
    assert "message-unverifiable" in house.open_flags()


def test_row_10_an_entry_appended_twice(house):
    for folder in (house.station_log, house.mirror):
        insider.put(folder, [*insider.entries(folder), insider.entries(folder)[-1]])

    by_station, by_centre = house.verify_log(), house.audit()

    assert (by_station.code, "seq-duplicate" in by_station.words) == (1, True)
    assert (by_centre.code, by_centre.words) == (1, {"seq-duplicate"})


@pytest.mark.parametrize("days", [-1, 1])
def test_row_11_a_station_whose_clock_was_set_to_date_its_entries_otherwise(house, monkeypatch, days):
    """Order and signatures are right; the order itself, and the centre before and after, bound the times."""

    class SetClock(SystemClock):
        def now(self):
            honest = super().now()
            return replace(honest, utc_ms=honest.utc_ms + days * 86_400_000)

    monkeypatch.setattr("station_agent.service.SystemClock", SetClock)
    card = house.folder / "card of another recorder"
    card.mkdir()
    (card / "new.MP4").write_bytes(bytes(9000))
    with house.station() as rooms:
        ingest_folder(rooms, card)
        rooms.followup.drain(rooms.stop)
    monkeypatch.undo()
    house.sync()

    done = house.audit()

    assert (done.code, done.words) == (1, {"time-regression"})
    said = " ".join(one["reason"] for one in done.facts["findings"])
    assert ("which stands before it" in said) is (days < 0)
    assert ("after the centre had it" in said) is (days > 0)


ROWS = {
    "a link deleted": "DELETE FROM link",
    "a link turned to another action": "UPDATE link SET action_id = 'JC-01'",
    "a flag deleted": "DELETE FROM flag",
    "a flag cleared": "UPDATE flag SET state = 'cleared', cleared_ms = 1",
    "a digest altered": "UPDATE clip SET sha256 = 'ab'",
    "a clip's officer altered": "UPDATE clip SET officer = '1'",
    "a receipt deleted": "DELETE FROM receipt",
}


@pytest.mark.parametrize("what", ROWS)
def test_row_12_rows_altered_or_deleted_in_the_database(house, what):
    assert house.ingestd("audit", "rebuild", "--check").code == 0
    assert insider.sql(house.database, ROWS[what]) > 0

    done = house.ingestd("audit", "rebuild", "--check")

    assert (done.code, done.words) == (1, {"projection-mismatch"})
    assert house.audit().code == 0, "the evidence itself does not rest on rows"


def test_row_12_a_link_deleted_in_the_database_shows_in_the_story_of_its_clip(house):
    linked = next(one["link"]["object"] for one in insider.records(house.centre_log) if one["event"] == "case.linked")
    assert house.ingestd("audit", "chain", linked).code == 0
    assert insider.sql(house.database, "DELETE FROM link WHERE object_id = ?", linked) == 1

    done = house.ingestd("audit", "chain", linked)

    assert (done.code, done.words) == (1, {"projection-mismatch"})


def test_row_13_stations_have_seen_the_centre_log_and_say_so(house):
    """Without the stations' keys nobody can take back what their entries say of the centre's checkpoints."""
    house.notice()
    unlink_everywhere(house)

    done = house.audit()

    assert (done.code, done.words <= {"log-truncated", "root-mismatch"}, bool(done.words)) == (1, True, True)


def unlink_everywhere(house):
    """The holder of the centre's key removes a link from the log and the database, and whatever else would tell."""
    insider.rewrite(house.centre_log, CENTRE_ORIGIN, house.centre_key, insider.without("case.linked"))
    assert insider.sql(house.database, "DELETE FROM link WHERE log_seq = (SELECT max(log_seq) FROM link)") == 1
    insider.follow(house)


def test_row_13_a_link_removed_from_database_and_log_with_the_stolen_centre_key(anchored_house):
    unlink_everywhere(anchored_house)

    done = anchored_house.verify_anchors()

    assert (done.code, done.words) == (1, {"anchor-mismatch", "anchor-missing"})
    assert anchored_house.audit().words >= {"anchor-mismatch"}, "the audit of every night sees it as well"
    witness = anchored_house.witness()
    assert (witness.code, witness.facts["finding"]) == (1, "log-forked")


def test_row_13_one_who_removes_the_anchors_too_meets_the_copies_kept_outside(anchored_house):
    house = anchored_house
    insider.rewrite(
        house.centre_log, CENTRE_ORIGIN, house.centre_key, insider.without("case.linked", *["checkpoint.anchored"] * 2)
    )
    shutil.rmtree(house.folder / "central" / "anchors")
    insider.follow(house)

    done = house.verify_anchors()

    assert (done.code, done.words) == (1, {"anchor-mismatch", "anchor-missing", "log-truncated"})
    assert house.witness().facts["finding"] == "log-truncated"
    assert house.ingestd("anchors", "verify").code == 1, "configured, and not one verifies"


def test_row_14_a_proxy_altered(house):
    house.proxies()[0].write_bytes(b"another film")

    done = house.audit()

    assert (done.code, done.words, done.facts["proxies"]["failed"]) == (1, {"failed"}, 1)


def total_insider(house, tmp_path):
    """Every key, log, database, file and clock of the agency: all of it made again over other footage."""
    forged = house.emptied(tmp_path / "forged")
    insider.flip(forged.card / "note5.txt", 3)
    forged.dock()
    with forged.centre() as centre:
        centre.pipeline.import_cases((forged.folder / "registers.json").read_bytes(), "registers.json")
        centre.pipeline.checkpoint()
    return forged


def test_row_15_a_total_insider_is_caught_by_what_others_keep(anchored_house, tmp_path):
    forged = total_insider(anchored_house, tmp_path)
    assert forged.audit().words == {"anchor-missing"}, "inside the house everything else fits"

    done, witness = forged.verify_anchors(), forged.witness()

    assert (done.code, done.words >= {"anchor-mismatch"}) == (1, True)
    assert (witness.code, witness.facts["finding"] in {"log-forked", "log-truncated"}) == (1, True)


def test_row_15_a_total_insider_who_anchors_again_is_caught_by_the_copies_alone(anchored_house, tmp_path):
    """A rewritten log can be stamped now, but not then: an anchor that only the insider keeps is none."""
    forged = total_insider(anchored_house, tmp_path)
    assert forged.ingestd("anchors", "run", "--force").code == 0
    assert forged.ingestd("anchors", "verify").code == 0, "MISSED without the copies"

    done = forged.verify_anchors()

    assert (done.code, done.words >= {"anchor-mismatch"}) == (1, True)


def test_row_15_a_total_insider_without_an_anchor_is_missed(house, tmp_path):
    """The limit of every log that nobody outside has seen; said wherever somebody could believe otherwise."""
    forged = total_insider(house, tmp_path)
    original = (house.card / "note5.txt").read_bytes()
    assert original in [path.read_bytes() for path in house.originals()]
    assert original not in [path.read_bytes() for path in forged.originals()]

    assert (forged.audit().code, forged.verify_log().code) == (0, 0), "MISSED"

    anchors = forged.verify_anchors()
    assert (anchors.code, anchors.words) == (2, {"nothing-checked"})
    assert anchors.facts["caveat"]["en"].startswith("No anchor outside the agency")


def test_row_16_a_station_that_deletes_its_history_and_takes_in_altered_footage(house):
    """A list of hashes that is deleted and made again passes its own check; what the centre holds does not go away."""
    for name in ("log", "spool"):
        shutil.rmtree(house.folder / "station" / name)
    for path in (house.folder / "station").glob("journal.db*"):
        path.unlink()
    insider.flip(house.card / "note5.txt", 3)
    with house.station() as rooms:
        ingest_folder(rooms, house.card)
        rooms.followup.drain(rooms.stop)
        rooms.seal.checkpoint()
    assert house.verify_log().code == 0, "the station alone cannot know"

    assert house.sync() in (["log-truncated"], ["log-forked"])

    assert "message-unverifiable" in house.open_flags()
    done = house.audit()
    assert (done.code, done.words) == (1, {"unrecorded"})
    assert done.facts["verified"] == 5, "the footage as it was"
    assert house.verify_log().words & {"log-truncated", "log-forked"}


def test_row_16_a_centre_that_deletes_its_history_and_begins_again(house):
    for path in (house.centre_log, house.mirror):
        shutil.rmtree(path)
    for path in house.database.parent.glob("index.db*"):
        path.unlink()

    done = house.audit()

    assert (done.code, done.words >= {"nothing-checked", "unrecorded"}) == (1, True)


MANIFEST, TAGS = "manifest-sha256.txt", "tagmanifest-sha256.txt"
DAMAGES = {
    "emptied": lambda _text: "",
    "a line garbled": lambda text: text.replace("a", "x", 1),
    "a tab for two spaces": lambda text: text.replace("  ", "\t", 1),
    "a line left out": lambda text: text.partition("\n")[2],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [MANIFEST, TAGS])
@pytest.mark.parametrize("signed", ["as it was", "anew with the stolen centre key", "not at all"])
def test_row_17_a_manifest_that_lists_nothing_or_cannot_be_read(bundle, policy, built, name, damage, signed):
    path = bundle / name
    path.write_text(DAMAGES[damage](path.read_text()))
    if signed == "anew with the stolen centre key":
        forge = resign_tags if name == MANIFEST else resign_bytes
        forge(bundle, built.centre_key)
    if signed == "not at all":
        for signature in UNSIGNED - {TAGS}:
            (bundle / signature).unlink()

    report, shell = verify_bundle.verify(bundle, policy), by_shell(bundle, policy)

    words = {one["finding"] for one in report.findings}
    assert words & {"failed", "unparsable", "sig-bad", "missing", "unrecorded"}
    assert (report.exit_code, shell) == (1, 1) if signed == "as it was" else (report.exit_code, shell) >= (1, 1)


def test_row_17_a_manifest_made_to_fit_without_the_key(bundle, policy):
    """Every digest in it is right; only nobody signed it."""
    readme = bundle / "README.en.txt"
    before = hashlib.sha256(readme.read_bytes()).hexdigest()
    readme.write_text("this bundle was checked by the ministry")
    after = hashlib.sha256(readme.read_bytes()).hexdigest()
    (bundle / TAGS).write_text((bundle / TAGS).read_text().replace(before, after))

    report = verify_bundle.verify(bundle, policy)

    assert (report.exit_code, {one["finding"] for one in report.findings}) == (1, {"sig-bad"})
    assert by_shell(bundle, policy) == 1


def test_row_17_as_the_commands_say_it(bundle, policy):
    check = ["audit", "verify-bundle", str(bundle), "--policy", str(policy), "--json"]
    good = run("ingestd.cli", check)
    assert (good.code, good.words, by_shell(bundle, policy)) == (0, set(), 0)

    (bundle / MANIFEST).write_text("")

    done = run("ingestd.cli", check)
    assert (done.code, done.words >= {"failed"}) == (1, True)


def resign_bytes(bundle, signer):
    """The very bytes of the tag manifest, whatever they say, signed by the centre's key."""
    data = (bundle / TAGS).read_bytes()
    (bundle / verify_bundle.RAW_SIGNATURE).write_bytes(signer.sign(data))
    (bundle / verify_bundle.SSH_SIGNATURE).write_bytes(sshsig(signer, data))


def by_shell(bundle, policy):
    done = subprocess.run(["sh", VERIFY_SH, "--policy", policy, bundle], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode


@pytest.mark.integration
def test_row_18_a_custody_certificate_opens_no_connection_and_the_reverse(house, broker):
    custody = broker.pki._issue("custody", CUSTODY_USAGE, local=False)
    client = broker.pki.client(STATION)
    toml = (house.folder / "ingestd.toml").read_text()
    wrong = {
        "custody for TLS": toml + f'[mqtt]\nca = "{broker.pki.ca}"\ncert = "{custody.cert}"\nkey = "{custody.key}"\n',
        "TLS for custody": toml.replace("[keys]\n", f'[keys]\ncustody_cert = "{client.cert}"\n'),
    }

    for text in wrong.values():
        (house.folder / "ingestd.toml").write_text(text)
        refused = house.ingestd("cases", "import", house.folder / "registers.json")
        assert (refused.code, "is needed here, and this one is not" in refused.complaint) == (78, True)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(broker, custody)
    connect(broker, client)


def connect(broker, who):
    """One TLS connection, long enough for the server to judge the client's certificate."""
    context = ssl.create_default_context(cafile=str(broker.pki.ca))
    context.load_cert_chain(who.cert, who.key)
    with (
        socket.create_connection((broker.host, broker.port), 1) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
        suppress(TimeoutError),
    ):
        assert secure.recv(1), "the server hung up"
