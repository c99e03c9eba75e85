"""``ingestd audit export``, ``verify-bundle`` and ``policy``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ingestd import service
from ingestd.audit import verify_bundle
from ingestd.audit.export import Exported, export, policy_text
from ingestd.audit.export_house import choose, house_of, order_of
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show


def export_bundle(  # noqa: PLR0913  # options of one command
    out: Annotated[Path, typer.Option("--out", help="Folder to make; it must not be there yet.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    case: Annotated[str, typer.Option("--case", help="Clips linked to this case number.")] = "",
    clips: Annotated[list[str] | None, typer.Option("--clip", help="One clip, by its id; may be repeated.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is entered in the log.")] = "evidence bundle 证据包",
    mhl: Annotated[bool, typer.Option("--mhl", help="Add an ASC MHL list (C4).")] = False,  # noqa: FBT002  # typer's form of a switch
    proxies: Annotated[bool, typer.Option("--proxies", help="Derived files as well.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make a signed bundle of originals, entries and proofs that anybody can check; recorded before it is made."""
    loaded = load_config(config, data_dir)
    centre = service.build(loaded)
    try:
        centre.pipeline.start()
        order = order_of(loaded, choose(centre.queries, case, clips or []), case, reason, mhl=mhl, proxies=proxies)
        done = export(order, house_of(loaded, centre.pipeline), out.absolute())
    finally:
        centre.engine.dispose()
    show(_facts(done), as_json, lambda: [*verify_bundle.lines(done.report), f"exported 已导出: {done.folder}"])
    if done.report.exit_code:  # made all the same: a key was revoked later, and people must look
        raise typer.Exit(done.report.exit_code)


def print_policy(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print the policy with which bundles are checked; give it to auditors on another way than the bundle."""
    loaded = load_config(config, data_dir)
    print(policy_text(house_of(loaded, service.build(loaded).pipeline)), end="")  # noqa: T201  # facts go to standard output


def check_bundle(  # noqa: PLR0913  # options of one command
    folder: Path,
    policy: Annotated[Path | None, typer.Option("--policy", help="Keys you trust, not from the bundle.")] = None,
    trust_bag: Annotated[bool, typer.Option("--trust-bag", help="Take the bundle's own policy; said aloud.")] = False,  # noqa: FBT002  # typer's form of a switch
    tsa_ca: Annotated[Path | None, typer.Option("--tsa-ca", help="CA of time-stamping authorities (PEM).")] = None,
    proof: Annotated[bool, typer.Option("--proof", help="The folder is the proof of one clip.")] = False,  # noqa: FBT002  # typer's form of a switch
    file: Annotated[Path | None, typer.Option("--file", help="With --proof: the file it should be about.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Check a bundle or a proof without database, network, configuration; exit 0 as recorded, 1 not, 2 could not."""
    if (policy is None) is not trust_bag:
        raise typer.BadParameter("give --policy FILE, or --trust-bag, one of them")
    if file is not None and not proof:
        raise typer.BadParameter("--file goes with --proof")
    if proof:
        report = verify_bundle.verify_proof(folder, policy, tsa_ca, file)
    else:
        report = verify_bundle.verify(folder, policy, tsa_ca)
    show(report.as_json(), as_json, lambda: verify_bundle.lines(report))
    raise typer.Exit(report.exit_code)


def _facts(done: Exported) -> dict[str, Any]:
    return {
        "folder": str(done.folder),
        "export": done.export_id,
        "manifest_sha256": done.manifest_sha256,
        **done.report.as_json(),
    }
