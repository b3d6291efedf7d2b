"""Reads of live keys while nodes come and go.

`--churn 30+10 --churn-interval 10 --churn-seconds 300` is the long form: of 40 nodes, a tenth is killed each 10 s and
replaced by as many that join through three of the others, with new identities. What is measured:

- the keys belong to Python clients, which stand outside of the 40 and stay. They store each key again every
  `PERIOD` seconds for `LIFE` seconds, as Petals servers do (there 60 s and 120 s or more), with five replicas;
- the readers are Python clients too. They keep and hand on nothing, so that a read heals nothing. One read is one
  `get`, of a key drawn at random; every key is alive all the time;
- a read succeeds if it brings a value within `PATIENCE` seconds. Everything else is a miss,
  the reader's own failures included. After a miss all nodes are asked for the key, to tell a lost record from a
  search that went astray.
"""

import asyncio
import random
import time

import pytest
from conftest import addresses, in_seconds
from daemon import Petald
from hivemind.dht import DHTID, DHTNode

KEYS = 60
PERIOD = 30.0
LIFE = 120.0
PATIENCE = 15.0
READERS = 2
PAUSE = 0.1  # seconds between two reads of one reader
REQUIRED = 0.995


class Churn:
    def __init__(self, stage, chance):
        self.stage, self.chance = stage, chance
        self.members, self.stored = [], set()
        self.reads, self.misses, self.slowest, self.replaced = 0, [], 0.0, 0
        self.over = asyncio.Event()

    async def begin(self, petalds, python):
        """Five at a time: the first of each kind come first."""
        kinds = [Petald, DHTNode] + [Petald] * (petalds - 1) + [DHTNode] * (python - 1)
        await self.join(kinds[0])
        await self.join(kinds[1])
        for some in (kinds[begin : begin + 5] for begin in range(2, len(kinds), 5)):
            await asyncio.gather(*(self.join(kind) for kind in some))

    async def join(self, kind):
        doors = self.chance.sample(self.members, min(3, len(self.members)))
        doors = [address for door in doors for address in await addresses(door)]
        join = self.stage.petald if kind is Petald else self.stage.node
        try:
            self.members.append(await join(doors, **({} if kind is Petald else {"wait_timeout": 3.0})))
        except Exception as error:
            # A door may have died meanwhile; a person would start the node again.
            if not self.replaced:
                raise
            print(f"{kind.__name__} did not join: {error!r}")
            await self.join(kind)

    async def leave(self, member):
        """As a crash: nobody is told."""
        self.members.remove(member)
        if isinstance(member, Petald):
            await asyncio.to_thread(member.kill)
        else:
            self.stage.python.remove(member)
            member.is_alive = False
            member.p2p._child.kill()
            # Not the node's own shutdown: it would ask its p2pd to take its handlers back.
            await member.p2p.shutdown()

    async def replace(self, seconds, interval, count):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            leaving = self.chance.sample(self.members, count)
            for member in leaving:
                await self.leave(member)
            self.replaced += count
            await asyncio.gather(*(self.join(type(member)) for member in leaving))
            await asyncio.sleep(max(0.0, began + interval - time.monotonic()))
        self.over.set()

    async def own(self, owner, keys):
        """Stores the keys again and again until all is over."""
        while True:
            began, version = time.monotonic(), in_seconds(0)
            stored = await owner.store_many(keys, [version] * len(keys), in_seconds(LIFE), exclude_self=True)
            self.stored |= {key for key in keys if stored[key]}
            try:
                return await asyncio.wait_for(self.over.wait(), max(0.1, began + PERIOD - time.monotonic()))
            except asyncio.TimeoutError:
                pass

    async def read(self, reader):
        while not self.over.is_set():
            key = self.chance.choice(sorted(self.stored))
            began = time.monotonic()
            try:
                found = await asyncio.wait_for(reader.get(key), PATIENCE)
                why = "not found" if found is None else None
                assert found is None or isinstance(found.value, float), found
            except Exception as error:
                why = repr(error)
            self.reads += 1
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            if why:
                self.misses.append((key, why, round(took, 1), await self.holders(key)))
            await asyncio.sleep(PAUSE)

    async def holders(self, key):
        """How many of the members hold the key, asked one by one by somebody who knows them."""
        key_id = DHTID.generate(source=key)
        answers = await asyncio.gather(
            *(self.witness.protocol.call_find(member.peer_id, [key_id]) for member in self.members),
            return_exceptions=True,
        )
        return sum(bool(answer) and not isinstance(answer, Exception) and bool(answer[key_id][0]) for answer in answers)

    def share(self):
        return 1 - len(self.misses) / max(1, self.reads)


@pytest.mark.limit(3600)
async def test_live_keys_are_read_while_nodes_come_and_go(stage, request, figure):
    option = request.config.getoption
    petalds, python = map(int, option("--churn").split("+"))
    seconds, interval = option("--churn-seconds"), option("--churn-interval")
    churn = Churn(stage, random.Random(option("--seed")))
    await churn.begin(petalds, python)

    # As hivemind's clients are: three seconds for a call.
    quiet = {"wait_timeout": 3.0, "client_mode": True, "cache_locally": False, "cache_nearest": 0, "cache_on_store": False}
    doors = [address for member in churn.members[:6] for address in await addresses(member)]
    through_petald = [address for member in churn.members if isinstance(member, Petald) for address in member.addresses]
    owners = [await stage.node(through_petald[number::2][:3], **quiet) for number in range(2)]
    readers = [await stage.node(doors[number::READERS], **quiet) for number in range(READERS)]
    churn.witness = await stage.node(doors, **quiet)

    keys = [f"churn-{number}" for number in range(KEYS)]
    owning = [asyncio.create_task(churn.own(owner, keys[number::2])) for number, owner in enumerate(owners)]
    while len(churn.stored) < KEYS:
        await asyncio.sleep(0.1)
    reading = [asyncio.create_task(churn.read(reader)) for reader in readers]
    count = max(1, (petalds + python) // 10)
    await churn.replace(seconds, interval, count)
    await asyncio.gather(*reading, *owning)

    lost = sum(not holders for *_, holders in churn.misses)
    figure(
        f"churn (seed {option('--seed')}): {churn.reads - len(churn.misses)} of {churn.reads} reads of live keys succeeded "
        f"({100 * churn.share():.2f} %), slowest {churn.slowest:.1f} s, while {churn.replaced} of {petalds} petald and "
        f"{python} Python nodes were killed and replaced, {count} each {interval:.0f} s for {seconds:.0f} s; "
        f"{lost} of {len(churn.misses)} misses were of a key that no node held"
    )
    assert churn.share() >= REQUIRED, churn.misses
