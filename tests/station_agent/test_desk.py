"""Check-in, marks and the ledger of a station, over a real journal and log; and who may act at all."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from station_agent import checkout
from station_agent import desk as desk_module
from station_agent.config import load
from station_agent.desk import Desk
from station_agent.dockside import Dockside
from station_agent.errors import DeskError
from station_agent.model import RecorderUndocked
from station_agent.screen import create_app
from station_agent.screen.counter import FINDINGS, HEADER, PROBLEMS
from station_agent.visits import held_by, holder_of
from tests.fakes.station_world import World
from tests.fakes.web_dock import bay, status

SERIAL = "EC2300471"
NIGHT = "EC23004_123456_20261121200300.mp4"
VKEY = "custody.example/centre-witness+dfb530b1+BPqhzLsCB66+701/Yi2XzbSDm/cJGHQEcQRcJ1+o6CJK"
HOME = "http://127.0.0.1:8780"


@pytest.fixture
def station(tmp_path):
    world = World(tmp_path)
    world.put(NIGHT)
    return world.start()


@pytest.fixture
def desk(station, tmp_path):
    return desk_of(station, tmp_path)


def desk_of(station, tmp_path, more=""):
    begin = '[station]\nid="s"\nauthority="custody.example"\n[paths]\ndata="."\n[bays]\n1="a"\n2="b"\n'
    (tmp_path / "s.toml").write_text(f'{begin}[keys]\nwitness="{VKEY}"\n{more}')
    return Desk(load(tmp_path / "s.toml"), station.journal, station.seal, station.board, station.pipeline.resting)


def dock(station):
    station.pipeline.docked(station.event())


def take_out(station):
    station.pipeline.undocked(RecorderUndocked(str(station.world.card), 1))


def receipt_all(station):
    for clip in station.journal.clips(station.event().identity.key).values():
        station.journal.receipted(clip.object_id, b"receipt")


def last(station):
    return list(station.seal.entries(0))[-1].record


def said(desk, officer="123456", named=SERIAL):
    return [str(one) for one in desk.readiness(officer, named)[1].findings]


def test_at_check_in_an_officer_sees_the_last_three_dockings_newest_first(station, desk):
    for number in range(4):
        station.world.put(f"EC23004_123456_2026112{number}200300.mp4", bytes(number + 1))
        dock(station)
        take_out(station)
    found = desk.check_in("123456")
    assert found["officer"] == "***456"
    assert [one["files"] for one in found["dockings"]] == [1, 1, 1]
    assert [one["bytes"] for one in found["dockings"]] == [4, 3, 2]
    assert desk.check_in("440100123456")["dockings"] == found["dockings"]
    assert desk.check_in("223456")["dockings"] == []


@pytest.mark.parametrize("officer", ["", "12 34", "1" * 33, "'; --", "１２３"])
def test_what_is_no_officers_number_is_refused(desk, station, officer):
    for act in (desk.check_in, lambda o: desk.mark(o, 1, "priority"), lambda o: desk.issue(o, SERIAL, "x")):
        with pytest.raises(DeskError, match="number"):
            act(officer)
    assert station.events() == []


def test_a_mark_waits_for_the_next_docking_in_its_bay_and_is_used_up(station, desk):
    desk.mark("123456", 1, "important")
    assert last(station).block("marking") == {"bay": 1, "mark": "important"}
    assert last(station).payload["actors"] == [{"role": "officer", "id": "123456"}]
    dockside = Dockside(desk.config, station.journal, station.board)

    def shown(state):
        return dockside.seen(station.world.clock.now(), [{"bay": 1, "state": state, "serial": SERIAL}])["bays"]["1"]

    assert shown("idle")["mark"] == "important"
    dock(station)
    assert shown("safe")["mark"] == "important"
    take_out(station)
    assert shown("idle")["mark"] == ""
    assert desk.check_in("123456")["dockings"][0]["mark"] == "important"


@pytest.mark.parametrize(("number", "mark"), [(3, "priority"), (0, "priority"), (1, "urgent"), (1, "")])
def test_a_mark_for_no_bay_or_of_no_kind_is_refused(station, desk, number, mark):
    with pytest.raises(DeskError):
        desk.mark("123456", number, mark)
    assert station.events() == []


def test_a_recorder_is_ready_once_all_of_it_is_receipted(station, desk):
    dock(station)
    assert "open:1" in said(desk)
    receipt_all(station)
    assert said(desk) == ["left:1", "clock-unmeasured", "battery-unreadable"]
    assert desk.readiness("123456", SERIAL)[1].ready
    take_out(station)
    assert said(desk)[0] == "left-unreadable"
    assert said(desk, named="EC9") == ["unknown-recorder"]


def test_where_the_station_empties_recorders_what_is_left_keeps_one_back_until_it_is_erased(station, tmp_path):
    desk = desk_of(station, tmp_path, '[erase]\npolicy="manual"\n')
    dock(station)
    receipt_all(station)
    assert not desk.readiness("123456", SERIAL)[1].ready
    [clip] = station.journal.clips(station.event().identity.key).values()
    before = desk._facts(SERIAL)
    erased = {"id": clip.object_id, "name": clip.name, "size": 4, "digests": {"sha256": clip.sha256}}
    camera = {"serial": SERIAL, "bay": 1}
    body = {"camera": camera, "objects": [erased], "receipts": [], "reason": "manual", "actors": []}
    station.seal.append("camera.erased", body)
    assert (before.left, desk._facts(SERIAL).left) == (1, 0)
    assert desk._facts(SERIAL).free_bytes == before.free_bytes + 4
    assert desk.readiness("123456", SERIAL)[1].ready


def test_a_link_on_the_card_and_a_file_that_vanished_are_nothing_to_wait_for(station, desk):
    (station.world.card / "b.MP4").symlink_to("/etc/passwd")
    dock(station)
    receipt_all(station)
    assert "open" not in " ".join(said(desk))


def test_a_recorder_that_is_being_read_is_busy(station, desk):
    found = []
    station.world.copier.during = lambda: found.append(said(desk))
    dock(station)
    assert "busy" in found[0]
    assert "busy" not in said(desk)


def test_a_recorder_is_named_by_serial_label_or_bay(station, desk):
    dock(station)
    assert {desk.readiness("1", named)[0] for named in (SERIAL, "DSJ", "1", " 1 ")} == {SERIAL}
    for named in ("2", "", " "):
        with pytest.raises(DeskError, match="label"):
            desk.readiness("1", named)


def test_the_ledger_says_who_has_it_and_a_replayed_log_says_the_same(station, desk, tmp_path):
    dock(station)
    receipt_all(station)
    done = desk.issue("123456", SERIAL, "")
    assert (done["ready"], done["seq"], done["leaf"]) == (
        True,
        last(station).seq,
        list(station.seal.entries(0))[-1].leaf.hex(),
    )
    assert last(station).payload["issue"] == {
        "officer": "123456",
        "ready": "yes",
        "findings": ["left:1", "clock-unmeasured", "battery-unreadable"],
    }
    assert held_by(station.journal.ask, "123456") == [SERIAL]
    station.journal.close()
    (tmp_path / "journal.db").unlink()
    again = station.world.start()
    assert holder_of(again.journal.ask, SERIAL) == "123456"


def test_a_recorder_that_is_not_ready_is_issued_for_a_reason_alone_which_stands_in_the_log(station, desk):
    dock(station)
    for reason in ("", "  "):
        with pytest.raises(DeskError, match=r"open:1.*say why"):
            desk.issue("123456", SERIAL, reason)
    assert "recorder.issued" not in station.events()
    desk.issue("123456", SERIAL, " 无其他设备 ")
    issue = last(station).block("issue")
    assert (issue["ready"], issue["reason"]) == ("no", "无其他设备")
    assert "open:1" in issue["findings"]


def test_issuing_it_to_another_ends_the_first_issue_with_an_entry(station, desk):
    dock(station)
    desk.issue("123456", SERIAL, "x")
    desk.issue("00418", SERIAL, "换人")
    assert station.events()[-2:] == ["recorder.returned", "recorder.issued"]
    returned = list(station.seal.entries(0))[-2].record
    assert (returned.block("issue")["officer"], returned.payload["actors"][0]["id"]) == ("123456", "00418")
    assert (held_by(station.journal.ask, "123456"), held_by(station.journal.ask, "00418")) == ([], [SERIAL])
    assert "held" in last(station).block("issue")["findings"]


def test_a_recorder_is_brought_back_by_whoever_holds_it(station, desk):
    dock(station)
    desk.issue("123456", SERIAL, "x")
    with pytest.raises(DeskError, match="not held"):
        desk.take_back("00418", SERIAL)
    desk.take_back("123456", SERIAL)
    assert last(station).event == "recorder.returned"
    assert held_by(station.journal.ask, "123456") == []
    with pytest.raises(DeskError, match="not held"):
        desk.take_back("123456", SERIAL)


def test_a_docking_while_an_officer_held_the_recorder_is_the_officers_own(station, desk):
    dock(station)
    take_out(station)
    assert desk.check_in("777")["dockings"] == []
    desk.issue("777", SERIAL, "x")
    dock(station)
    assert len(desk.check_in("777")["dockings"]) == 1
    take_out(station)
    desk.take_back("777", SERIAL)
    dock(station)
    assert len(desk.check_in("777")["dockings"]) == 1


# The routes.


class Visitor:
    """The page's own script, as far as the server can tell."""

    def __init__(self, desk, *, host="127.0.0.1", base=HOME):
        app = create_app(lambda: status(bay(1, "idle"), bay(2, "idle")), desk=desk)
        self.client = TestClient(app, client=(host, 50_000), base_url=base)
        page = self.client.get("/").text
        self.headers = {"Origin": base, HEADER: page.split('name="desk-token" content="')[1].split('"')[0]}

    def ask(self, act, more: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None):
        return self.client.post(
            f"/desk/{act}", json={"officer": "123456", **(more or {})}, headers=headers or self.headers
        )


def test_an_officers_panel_says_dockings_findings_and_what_was_done(station, desk):
    dock(station)
    visitor = Visitor(desk)
    assert "***456" in visitor.ask("check-in").text
    assert SERIAL in visitor.ask("check-in").text
    look = visitor.ask("ready", {"recorder": "1"})
    for words in ("未就绪", "还有 1 个文件未入库", "机内还有 1 个文件", "电量：无法读取", "仍要领用"):
        assert words in look.text
    refused = visitor.ask("issue", {"recorder": SERIAL})
    assert refused.status_code == 400
    assert "记录仪未就绪。仍要领用，请写明理由。" in refused.text
    done = visitor.ask("issue", {"recorder": SERIAL, "reason": "无其他设备"})
    assert f"已领用：{SERIAL}" in done.text
    assert f"#{last(station).seq}" in done.text
    assert f"已归还：{SERIAL}" in visitor.ask("return", {"recorder": SERIAL}).text
    assert "已标记" in visitor.ask("mark", {"bay": 2, "mark": "priority"}).text
    assert "没有这个机位" in visitor.ask("mark", {"bay": 9, "mark": "priority"}).text
    bad = visitor.ask("check-in", {"officer": "<script>"})
    assert (bad.status_code, "<script>" in bad.text, "请刷证" in bad.text) == (400, False, True)


def test_every_finding_and_problem_has_words():
    told = inspect.getsource(checkout)
    assert all(f'"{code}"' in told for code in FINDINGS)
    raised = inspect.getsource(desk_module)
    assert set(PROBLEMS) == {line.split('"')[1] for line in raised.split("DeskError(")[1:]}


@pytest.mark.parametrize(
    "forged",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8780"},
        {"Origin": ""},
        {HEADER: "x"},
        {HEADER: ""},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_an_act_that_does_not_come_from_our_page_is_refused_and_leaves_nothing(station, desk, forged):
    visitor = Visitor(desk)
    answer = visitor.ask("mark", {"bay": 1, "mark": "priority"}, {**visitor.headers, **forged})
    assert answer.status_code == 403
    assert station.events() == []


def test_an_act_from_another_machine_is_refused(station, desk):
    assert Visitor(desk, host="10.1.2.3").ask("mark", {"bay": 1, "mark": "priority"}).status_code == 403
    assert Visitor(desk, host="::1").ask("mark", {"bay": 1, "mark": "priority"}).status_code == 200


@pytest.mark.parametrize("act", ["check-in", "mark", "ready", "issue", "return"])
def test_no_get_acts(station, desk, act):
    visitor = Visitor(desk)
    answer = visitor.client.get(
        f"/desk/{act}?officer=123456&recorder={SERIAL}&bay=1&mark=priority", headers=visitor.headers
    )
    assert answer.status_code == 405
    assert station.events() == []


def test_without_a_desk_there_is_nothing_to_act_with():
    answer = TestClient(create_app(lambda: status(bay(1, "idle"))))
    assert "desk" not in answer.get("/").text
    assert answer.post("/desk/mark", json={"officer": "1"}).status_code == 404
