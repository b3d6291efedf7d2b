"""petald among peers that come and go, for a long time: do its memory, its files, its tasks or its answers' times grow?

`cargo test --release --test bench -- soak --minutes 30` prints a line for each of them: its level, its slope with the
95 % confidence interval, and ends with 1 if memory or files grow. Without `--minutes` it is a short form that shows
little more than that all of it works.

Before the minutes that count, half as many go by in which tables and caches fill. What is bounded and still fills then
(the addresses and marks of strangers) grows all the same: so the slope is told of each half too, and of what the node
holds for others. A bound that is being reached shows as a second half that is flatter than the first.

The node announces 32 blocks every 10 s, so an hour of this is six of life. Its peers are other petalds, each of which
is killed and replaced by a stranger in turn, and one hivemind node that stays; two hivemind clients ask the node and
read its records.

What a slope is, and why its error is wider than that of independent samples: `slope.py`.
"""

import argparse
import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

HERE = Path(__file__).resolve().parents[1] / "conformance"
sys.path.insert(0, str(HERE))

import loopback  # noqa: E402, F401
from daemon import Petald  # noqa: E402
from hivemind.dht import DHTNode  # noqa: E402
from hivemind.p2p import P2PContext, ServicerBase  # noqa: E402
from hivemind.proto import dht_pb2, runtime_pb2  # noqa: E402

import slope  # noqa: E402

BLOCKS = 32
PEERS = 8
SETTINGS = {
    "model.dht_prefix": "soak",
    "model.num_blocks": BLOCKS,
    "server.blocks": f"0:{BLOCKS}",
    "server.state": "online",
    "announce.period": "10s",
    "announce.ttl": "60s",
    "supervisor.probe_period": "1s",
}
REPLACE_EVERY = 8.0  # seconds; each peer lives for a minute or so
SAMPLE_EVERY = 1.0  # seconds
CALLS = 5  # of each kind for one sample, of which the median counts
READ_EVERY = 2.0  # seconds

WARM_UP = 1 / 2  # of the minutes that count, before them

# What may come of chance, over the whole run: an arena of the allocator, a connection more or less.
NOISE = {"memory": 1.5, "files": 3.0}
MIB = 1 << 20


class TransformerConnectionHandler(ServicerBase):
    """The name and the method, for a stub."""

    async def rpc_info(self, request: runtime_pb2.ExpertUID, context: P2PContext) -> runtime_pb2.ExpertInfo:
        raise NotImplementedError


class Soak:
    def __init__(self, folder, minutes):
        self.folder, self.seconds, self.warm_up = Path(folder), minutes * 60, minutes * 60 * WARM_UP
        self.peers, self.replaced, self.failed_calls, self.calls = [], 0, 0, 0
        self.reads, self.misses = 0, 0
        self.samples = {}
        self.over = asyncio.Event()

    async def begin(self):
        self.node = Petald(self.folder / "node", **{key.replace(".", "__"): value for key, value in SETTINGS.items()})
        await asyncio.to_thread(self.node.ready)
        self.doors = [str(address) for address in self.node.addresses]
        self.stays = await DHTNode.create(initial_peers=self.doors, nat_port_map=False)
        self.client = await DHTNode.create(initial_peers=self.doors, client_mode=True, nat_port_map=False)
        self.reader = await DHTNode.create(
            initial_peers=[str(address) for address in await self.stays.get_visible_maddrs()],
            client_mode=True, nat_port_map=False, cache_locally=False, cache_nearest=0, cache_on_store=False,
        )
        for _ in range(PEERS):
            await self.join()

    async def join(self):
        peer = Petald(self.folder / f"peer-{self.replaced}-{len(self.peers)}", self.doors)
        self.peers.append(peer)
        await asyncio.to_thread(peer.ready)

    async def come_and_go(self):
        while not self.over.is_set():
            await self.pause(REPLACE_EVERY)
            gone = self.peers.pop(0)
            await asyncio.to_thread(gone.kill)
            self.replaced += 1
            try:
                await self.join()
            except TimeoutError as late:
                print(f"a peer did not start in time: {late}")

    async def read(self):
        """Looks for a block of the node, as a client of Petals does, through somebody else."""
        block = 0
        while not self.over.is_set():
            block = (block + 1) % BLOCKS
            found = await self.reader.get(f"soak.{block}", latest=True)
            self.reads += 1
            self.misses += found is None
            await self.pause(READ_EVERY)

    async def pause(self, seconds):
        try:
            await asyncio.wait_for(self.over.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def ask(self, call):
        """Milliseconds of some calls, the median."""
        took = []
        for _ in range(CALLS):
            began = time.monotonic()
            self.calls += 1
            try:
                await call()
                took.append((time.monotonic() - began) * 1e3)
            except Exception as error:
                self.failed_calls += 1
                print(f"a call failed: {error!r}")
        return statistics.median(took) if took else math.nan

    async def sample(self):
        ping = self.client.protocol.get_stub(self.node.peer_id)
        info = TransformerConnectionHandler.get_stub(self.client.protocol.p2p, self.node.peer_id)
        proc = Path(f"/proc/{self.node.process.pid}")
        began = time.monotonic()
        while (at := time.monotonic() - began) < self.warm_up + self.seconds:
            await self.pause(SAMPLE_EVERY)
            status = await asyncio.to_thread(self.node.status)
            now = {
                "memory": self.node.resident() / MIB,
                "files": len(os.listdir(proc / "fd")),
                "threads": len(os.listdir(proc / "task")),
                "searches and stores": status["reports"]["dht"]["tasks"],
                "connections": len(status["reports"]["network"]["peers"]),
                "held for others": status["reports"]["dht"]["stored_bytes"] / MIB,
                "rpc_ping": await self.ask(
                    lambda: ping.rpc_ping(dht_pb2.PingRequest(peer=self.client.protocol.node_info), timeout=10)
                ),
                "rpc_info": await self.ask(lambda: info.rpc_info(runtime_pb2.ExpertUID(uid=""), timeout=10)),
            }
            for name, value in now.items():
                self.samples.setdefault(name, []).append((at, value))
        self.over.set()

    async def end(self):
        for node in (self.reader, self.client, self.stays):
            await node.shutdown()
        for peer in [self.node, *self.peers]:
            peer.close()


UNITS = {"memory": "MiB", "held for others": "MiB", "rpc_ping": "ms", "rpc_info": "ms"}


def report(soak):
    grew, hours = [], soak.seconds / 3600
    begin, end = soak.warm_up, soak.warm_up + soak.seconds
    for name, samples in soak.samples.items():
        found = slope.slope(slope.means(samples, begin, end))
        middle = (begin + end) / 2
        first, second = (slope.slope(slope.means(samples, *half)) for half in ((begin, middle), (middle, end)))
        # Growth that is neither chance nor noise.
        growth = found.gradient * hours
        grows = name in NOISE and found.gradient > found.confidence and growth > NOISE[name]
        unit = UNITS.get(name, "")
        print(
            f"figure: {name}: {found.level:.2f} {unit}, slope {found.gradient:+.2f} ± {found.confidence:.2f} {unit} an hour "
            f"({growth:+.2f} over the run; its halves {first.gradient:+.2f} ± {first.confidence:.2f} and "
            f"{second.gradient:+.2f} ± {second.confidence:.2f}; parts correlate by {found.correlation:.2f})"
            f"{'  <-- GROWS' if grows else ''}"
        )
        if grows:
            grew.append(name)
    print(
        f"figure: {soak.replaced} peers replaced, {soak.misses} of {soak.reads} reads of its records missed, "
        f"{soak.failed_calls} of {soak.calls} calls failed, in "
        f"{(soak.warm_up + soak.seconds) / 60:.1f} minutes, of which the last {soak.seconds / 60:.1f} count"
    )
    return grew


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--minutes", type=float, default=0.5)
    minutes = arguments.parse_known_args()[0].minutes
    slope.check()
    soak = Soak(tempfile.mkdtemp(dir=os.environ["PEER_SOCKETS"]), minutes)
    try:
        await soak.begin()
        others = [asyncio.create_task(soak.come_and_go()), asyncio.create_task(soak.read())]
        await soak.sample()
        await asyncio.gather(*others)
    finally:
        await soak.end()
    grew = report(soak)
    print(f"soak result: {'FAILED' if grew else 'ok'}. {len(grew)} of memory and files grow")
    return bool(grew)


if __name__ == "__main__":
    uvloop.install()
    sys.exit(asyncio.run(main()))
