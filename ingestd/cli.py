"""Command line of the centre: the one place where errors become exit codes, and the tree of all commands.

Facts go to standard output (``--json``: one JSON object), progress and complaints to standard error.
"""

import logging
import sys
from typing import Final

from ingestd.command_tree import Group, app_of
from ingestd.console import printable
from ingestd.errors import CentreError

COMMANDS: Final = Group(
    "执法记录中心 ingestd",
    {
        "run": "ingestd.centre_commands:run",
        "init": "ingestd.centre_commands:init",
        "config": Group("Configuration.", {"check": "ingestd.centre_commands:check_config"}),
        "cases": Group(
            "Cases, actions, officers, recorders, assignments.", {"import": "ingestd.cases_commands:import_cases"}
        ),
        "calendar": Group("Working days (工作日).", {"show": "ingestd.calendar_commands:show_year"}),
        "clips": Group("Clips (片段).", {"list": "ingestd.list_commands:list_clips"}),
        "stations": Group("Stations (采集站).", {"list": "ingestd.station_commands:list_stations"}),
        "flags": Group(
            "Flags (疑点).",
            {
                "list": "ingestd.list_commands:list_flags",
                "show": "ingestd.flag_commands:show_flag",
                "explain": "ingestd.flag_commands:explain",
                "review": "ingestd.flag_commands:review",
                "close": "ingestd.flag_commands:close",
            },
        ),
        "link": Group(
            "Links (关联): by hand, which no machine undoes, and by the rules.",
            {
                "add": "ingestd.people_commands:add_link",
                "remove": "ingestd.people_commands:remove_link",
                "run": "ingestd.link_commands:run_links",
            },
        ),
        "stats": "ingestd.stats.commands:stats",
        "coverage": Group(
            "Coverage (音像覆盖): what of an act is on video.", {"show": "ingestd.link_commands:show_coverage"}
        ),
        "review": Group(
            "Legal review of major decisions (法制审核).",
            {
                "submit": "ingestd.review.commands:submit_case",
                "extend": "ingestd.review.commands:extend_review",
                "conclude": "ingestd.review.commands:conclude_review",
                "list": "ingestd.review.commands:list_reviews",
                "show": "ingestd.review.commands:show_review",
            },
        ),
        "decisions": Group(
            "Decisions of cases (行政执法决定).",
            {
                "record": "ingestd.disclosure.commands:record_decision",
                "withdraw": "ingestd.disclosure.commands:withdraw_decision",
                "list": "ingestd.disclosure.commands:list_decisions",
            },
        ),
        "disclosure": Group(
            "Publication of enforcement (行政执法公示).",
            {
                "build": "ingestd.disclosure.commands:build_site",
                "due": "ingestd.disclosure.commands:list_due",
                "annual": "ingestd.disclosure.commands:annual",
            },
        ),
        "holds": Group(
            "Holds (封存): clips and cases of which nothing may go.",
            {
                "set": "ingestd.people_commands:set_hold",
                "release": "ingestd.people_commands:release_hold",
                "list": "ingestd.people_commands:list_holds",
            },
        ),
        "tokens": Group(
            "Tokens of other systems (接口令牌).",
            {
                "create": "ingestd.web.api.commands:create_token",
                "list": "ingestd.web.api.commands:list_tokens",
                "revoke": "ingestd.web.api.commands:revoke_token",
            },
        ),
        "retention": Group("Retention (保存期限).", {"show": "ingestd.retention_commands:show_retention"}),
        "disposals": Group(
            "Disposals (销毁): two people approve, nothing is deleted here.",
            {
                "propose": "ingestd.retention_commands:propose",
                "approve": "ingestd.people_commands:approve_disposal",
                "done": "ingestd.people_commands:record_disposal",
                "list": "ingestd.people_commands:list_disposals",
            },
        ),
        "audit": Group(
            "What an auditor runs.",
            {
                "verify": "ingestd.audit.verify_commands:verify",
                "prove": "ingestd.audit.prove_commands:prove_clip",
                "chain": "ingestd.audit.chain_commands:chain",
                "report": "ingestd.audit.report_commands:make_report",
                "export": "ingestd.audit.export_commands:export_bundle",
                "verify-bundle": "ingestd.audit.export_commands:check_bundle",
                "policy": "ingestd.audit.export_commands:print_policy",
                "rebuild": "ingestd.audit.rebuild_commands:rebuild",
            },
        ),
        "anchors": "ingestd.anchors.commands:anchors_app",
        "witness": "ingestd.anchors.commands:witness",
        "keys": "ingestd.enrolment.commands:keys_app",
    },
)
"""Every command and the function behind it; its module is loaded when the command is given."""

app = app_of(COMMANDS)


def main() -> None:
    """Console script. Every error of ours is one line on standard error and an exit code of its class."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        app()
    except CentreError as error:
        print(printable(f"ingestd: {error}"), file=sys.stderr)  # noqa: T201  # the command line speaks on standard error
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
