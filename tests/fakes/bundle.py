"""A small centre on disk, as another process left it, from which bundles are made."""

from dataclasses import dataclass
from pathlib import Path

from ingestd import config as configuration
from ingestd import service
from ingestd.audit.export import Exported, export, policy_text
from ingestd.audit.export_house import choose, house_of, order_of
from ingestd.pipeline import ReadBack
from tests.fakes.centre_station import AUTHORITY, FakeStation
from tests.fakes.centre_world import CATALOGUE

START = 1_795_226_400_000


@dataclass
class BundleWorld:
    """``station`` has two clips, and a proxy of the first."""

    folder: Path
    station: FakeStation
    clips: list[str]

    @property
    def config(self) -> configuration.Config:
        return configuration.load(self.folder / "ingestd.toml")

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def export(self, out: Path, *clips: str, case: str = "", mhl: bool = False, proxies: bool = False) -> Exported:
        """What ``ingestd audit export`` does."""
        centre = service.build(self.config)
        try:
            centre.pipeline.start()
            chosen = choose(centre.queries, case, clips)
            order = order_of(self.config, chosen, case, "法院调取", mhl=mhl, proxies=proxies)
            return export(order, house_of(self.config, centre.pipeline), out)
        finally:
            centre.engine.dispose()

    def policy(self, path: Path) -> Path:
        """The policy as an auditor got it on another way."""
        centre = service.build(self.config)
        path.write_text(policy_text(house_of(self.config, centre.pipeline)))
        centre.engine.dispose()
        return path

    def deliver(self, *, checkpoint: bool = True) -> None:
        """The station's log and files arrive, and the centre reads the files back."""
        for name, data in self.station.store.items():
            path = self.store / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        centre = service.build(self.config)
        centre.pipeline.start()
        centre.pipeline.handle([self.station.message(checkpoint=checkpoint)])
        due = centre.pipeline.checks_due(limit=100)
        centre.pipeline.record_checks([ReadBack(row["object_id"], row["size"], row["sha256"]) for row in due])
        centre.engine.dispose()


def bundle_world(folder: Path, more: str = "", station: FakeStation | None = None) -> BundleWorld:
    """Make it in an empty folder; ``more`` is added to the configuration."""
    station = station or FakeStation()
    second = station.enrolled.second_key
    profile = f'profile = "gm"\nvkey_sm3 = "{second.vkey()}"' if second else ""
    (folder / "ingestd.toml").write_text(f"""
[centre]
authority = "{AUTHORITY}"
[paths]
data = "central"
[keys]
custody = "central/keys/custody.pem"
[[stations]]
id = "station-01"
vkey = "{station.enrolled.note_key.vkey()}"
{profile}
[store]
url = "store"
[database]
url = "sqlite:///central/index.db"
[catalogue]
file = "{CATALOGUE}"
{more}
""")
    service.make_keys(configuration.load(folder / "ingestd.toml"))
    service.begin(configuration.load(folder / "ingestd.toml"))
    world = BundleWorld(folder, station, [])
    station.seen("DCIM/1.MP4", "DCIM/2.MP4")
    for number in (1, 2):
        content = bytes(range(256)) * 40 * number
        clip = station.copied(path=f"DCIM/{number}.MP4", officer="000001", content=content)
        station.described(clip, START, officer_as_stated="000001")
        world.clips.append(clip)
    parent = next(data for name, data in station.store.items() if world.clips[0] in name)
    station.proxied(world.clips[0], parent)
    world.deliver()
    return world
