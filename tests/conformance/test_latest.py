"""A read that asks for the latest finds it, wherever the stale ones are."""

from conftest import TTL, fresh, in_seconds
from hivemind.dht import DHTID


async def plant(node, peer_id, key, value, expiration):
    """Stores at one peer only."""
    packed = node.protocol.serializer.dumps(value)
    assert await node.protocol.call_store(peer_id, [DHTID.generate(source=key)], [packed], [expiration]) == [True]


async def test_the_latest_is_at_petald(swarm):
    key, expiration = fresh("latest"), in_seconds(TTL)
    assert await swarm.writer.store(key, "stale", expiration)
    await plant(swarm.reader, swarm.petald.peer_id, key, "latest", expiration + 10)
    assert await swarm.reader.get(key, latest=True) == ("latest", expiration + 10)


async def test_petald_is_the_stale_one(swarm):
    key, expiration = fresh("stale"), in_seconds(TTL)
    await plant(swarm.reader, swarm.petald.peer_id, key, "stale", expiration)
    if swarm.position != "only":
        await plant(swarm.reader, swarm.writer.peer_id, key, "latest", expiration + 10)
        assert await swarm.reader.get(key, latest=True) == ("latest", expiration + 10)
    else:
        await plant(swarm.reader, swarm.petald.peer_id, key, "latest", expiration + 10)
        assert await swarm.reader.get(key, latest=True) == ("latest", expiration + 10)


async def test_any_value_that_lasts_long_enough_will_do(swarm):
    key, expiration = fresh("enough"), in_seconds(TTL)
    assert await swarm.writer.store(key, "value", expiration)
    found = await swarm.reader.get_many([key], sufficient_expiration_time=expiration - 1)
    assert found[key] == ("value", expiration)
    # None lasts as long as this asks: the best there is comes back all the same.
    found = await swarm.reader.get_many([key], sufficient_expiration_time=expiration + 1)
    assert found[key] == ("value", expiration)
