"""Where a value lies: at as many of the nodes nearest to its key as its owner wants, and nowhere else."""

import asyncio

import pytest
from conftest import TTL, asked, eventually, fresh, in_seconds
from daemon import MODEL
from hivemind.dht import DHTID


async def holders(fifty, key):
    """The expirations that each node holds for the key, for all nodes that hold it."""
    answers = await asyncio.gather(*(asked(fifty.asker, peer_id, key) for peer_id in fifty.peers.values()))
    return {node_id: held.expiration_time for node_id, held in zip(fifty.peers, answers) if held is not None}


@pytest.mark.parametrize("replicas", [1, 5, 20])
async def test_a_store_goes_to_the_nearest(fifty, replicas):
    owner = await fifty.stage.node(fifty.petald.addresses, client_mode=True, num_replicas=replicas)
    for _ in range(3):
        key, expiration = fresh("replica"), in_seconds(TTL)
        nearest = fifty.nearest(DHTID.generate(source=key), replicas)
        assert await owner.store(key, "value", expiration, exclude_self=True)
        assert await holders(fifty, key) == {node_id: expiration for node_id in nearest}
        assert await owner.store(key, "later", expiration + 1, exclude_self=True)
        assert await holders(fifty, key) == {node_id: expiration + 1 for node_id in nearest}
    await fifty.stage.stop(owner)


async def test_a_full_node_counts_itself(fifty):
    owner = fifty.nodes[1]
    key = next(key for key in map(fresh, ["own"] * 1000) if owner.node_id in fifty.nearest(DHTID.generate(key), 5))
    assert await owner.store(key, "value", in_seconds(TTL))
    assert set(await holders(fifty, key)) == set(fifty.nearest(DHTID.generate(source=key), 5))


async def test_what_petald_announces_goes_to_the_nearest(fifty):
    async def misplaced():
        for block in range(2):
            key = f"{MODEL['model.dht_prefix']}.{block}"
            there, nearest = set(await holders(fifty, key)), set(fifty.nearest(DHTID.generate(source=key), 5))
            # Beside them: petald's own copy is none of the five, and whoever was newly met was handed the record.
            if not nearest <= there or len(there - nearest) > 5:
                return f"{len(there & nearest)} of {len(nearest)} replicas of {key} are in place, {len(there - nearest)} beside"
        return None

    await eventually(20, "every record is at the five nearest nodes", misplaced)
