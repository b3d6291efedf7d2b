"""A swarm of petald and Python nodes: both sides store and read, and everybody finds everything.

`--mixed 30+20` is the long form. Each petald announces a block of one model; each Python node stores values, its entry
in a common dictionary, and one of them a Petals record that a petald has to read.
"""

import asyncio
import time

import pytest
from conftest import TTL, addresses, eventually, in_seconds
from daemon import MODEL

VALUES = 5  # of each Python node
PREFIX = "mixed"


class Mixed:
    def __init__(self, stage):
        self.stage = stage

    async def begin(self, petalds, python):
        """The first two know each other; all others join through both."""
        self.blocks = petalds + 1
        root = await self.stage.petald(**self.announcing(0, petalds))
        self.petalds = [root]
        self.nodes = [await self.stage.node(root.addresses)]
        doors = root.addresses + await addresses(self.nodes[0])
        while len(self.petalds) < petalds or len(self.nodes) < python:
            self.petalds += await asyncio.gather(
                *(
                    self.stage.petald(doors, **self.announcing(block, petalds))
                    for block in range(len(self.petalds), min(len(self.petalds) + 5, petalds))
                )
            )
            self.nodes += await asyncio.gather(
                *(self.stage.node(doors) for _ in range(min(5, python - len(self.nodes))))
            )
        return self

    def announcing(self, block, petalds):
        own = {
            "model.dht_prefix": PREFIX,
            "model.num_blocks": self.blocks,
            "server.blocks": f"{block}:{block + 1}",
            "announce.period": "5s" if petalds <= 10 else "30s",
            "announce.ttl": "300s",
        }
        return {**MODEL, **own}

    async def store(self):
        """What Python stores; the record of the block after petald's last is a Python node's."""
        expiration = in_seconds(max(TTL, 600))
        expected = {}
        for number, node in enumerate(self.nodes):
            keys = [f"value-{number}-{index}" for index in range(VALUES)]
            assert all((await node.store_many(keys, keys, expiration)).values())
            assert await node.store("roster", number, expiration, subkey=node.peer_id.to_base58())
            expected.update({key: key for key in keys})
        server = self.nodes[-1].peer_id.to_base58()
        record = (2, 1.0, {"start_block": self.blocks - 1, "end_block": self.blocks})
        assert await self.nodes[-1].store(f"{PREFIX}.{self.blocks - 1}", record, expiration, subkey=server)
        return expected

    async def missing(self, reader, expected):
        """What one reader does not find, of all that anybody has stored."""
        keys = [*expected, "roster", *(f"{PREFIX}.{block}" for block in range(self.blocks))]
        found = await reader.get_many(keys, sufficient_expiration_time=float("inf"))
        missing = {key for key in expected if found[key] is None or found[key].value != expected[key]}
        servers = [petald.peer_id.to_base58() for petald in self.petalds] + [self.nodes[-1].peer_id.to_base58()]
        for block, server in enumerate(servers):
            record = found[f"{PREFIX}.{block}"]
            if record is None or server not in record.value:
                missing.add(f"{PREFIX}.{block}")
        roster = found["roster"].value if found["roster"] else {}
        missing |= {f"roster of {node.peer_id}" for node in self.nodes if node.peer_id.to_base58() not in roster}
        return missing


@pytest.mark.limit(600)
async def test_everybody_finds_everything(stage, request, figure):
    petalds, python = map(int, request.config.getoption("--mixed").split("+"))
    began = time.monotonic()
    swarm = await Mixed(stage).begin(petalds, python)
    ready = time.monotonic() - began

    def announced():
        late = [petald for petald in swarm.petalds if petald.report("announcer")["least_replicas"] < 4]
        return f"{len(late)} petald have not announced, {late[0].report('announcer')}" if late else None

    await eventually(120, "every petald has announced", announced)
    expected = await swarm.store()

    # Each Python node reads for itself; a client that knows one petald alone reads what that petald leads to.
    reads = 0
    for node in swarm.nodes:
        await eventually(30, "a Python node finds everything", lambda: none_of(swarm.missing(node, expected)))
        reads += 1
    for petald in swarm.petalds:
        client = await stage.node(petald.addresses, client_mode=True, cache_locally=False, cache_nearest=0)
        await eventually(30, "everything is found through petald", lambda: none_of(swarm.missing(client, expected)))
        reads += 1
        await stage.stop(client)

    # petald itself reads: its pinger finds who serves the block after its own; the last finds the Python node's record.
    def found_next():
        alone = [number for number, petald in enumerate(swarm.petalds) if petald.report("pinger")["servers"] < 1]
        return f"petald {alone} know of no server of the next block" if alone else None

    await eventually(120, "each petald finds the server of the next block", found_next)

    def seen():
        blind = [petald.report("observer") for petald in swarm.petalds]
        blind = [report for report in blind if report["verdict"] != "visible"]
        return f"{len(blind)} are not visible: {blind[0]}" if blind else None

    await eventually(120, "each petald is seen from outside", seen)
    figure(
        f"mixed swarm of {petalds} petald and {python} Python nodes, ready after {ready:.0f} s: {reads} readers each found "
        f"all of {len(expected)} values, {swarm.blocks} blocks and {python} entries of a dictionary; {rest(stage)}"
    )


async def none_of(missing):
    missing = await missing
    return f"{len(missing)} are missing, such as {min(missing)}" if missing else None


def rest(stage):
    """What the nodes hold of the machine's memory."""
    resident = [petald.resident() / 2**20 for petald in stage.petalds if petald.process.poll() is None]
    return f"petald holds {sum(resident) / len(resident):.1f} MiB on average, {max(resident):.1f} MiB at most"
