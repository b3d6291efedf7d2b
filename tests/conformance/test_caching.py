"""What is cached beside what is stored: for whom, for how long, and which of both is told."""

import asyncio

from conftest import TTL, asked, eventually, fresh, in_seconds
from hivemind.dht import DHTID


async def plant(node, peer_id, key, value, expiration, in_cache=False):
    """Stores at one peer only."""
    value = node.protocol.serializer.dumps(value)
    return await node.protocol.call_store(
        peer_id, [DHTID.generate(source=key)], [value], [expiration], in_cache=in_cache
    )


async def value_of(swarm, key):
    held = await swarm.held(key)
    return None if held is None else (swarm.reader.protocol.serializer.loads(held.value), held.expiration_time)


async def test_the_later_of_cache_and_storage_is_told(swarm):
    key, now, petald = fresh("cache"), in_seconds(0), swarm.petald.peer_id
    assert await plant(swarm.reader, petald, key, "cached", now + 50, in_cache=True) == [True]
    assert await value_of(swarm, key) == ("cached", now + 50)
    assert await plant(swarm.reader, petald, key, "stored", now + 40) == [True], "the cache is no bar to the storage"
    assert await value_of(swarm, key) == ("cached", now + 50)
    assert await plant(swarm.reader, petald, key, "stored later", now + 60) == [True]
    assert await value_of(swarm, key) == ("stored later", now + 60)
    assert await plant(swarm.reader, petald, key, "stale", now + 45, in_cache=True) == [False]
    assert await plant(swarm.reader, petald, key, "cached later", now + 70, in_cache=True) == [True]
    assert await value_of(swarm, key) == ("cached later", now + 70)


async def test_what_is_cached_counts_apart(stage):
    count, petald = 50, await stage.petald()
    client = await stage.node(petald.addresses, client_mode=True)
    for key in [fresh("counted") for _ in range(count)]:
        assert await plant(client, petald.peer_id, key, "", in_seconds(TTL), in_cache=True) == [True]

    def counted():
        now = petald.report("dht")
        return None if (now["cached_entries"], now["stored_entries"]) == (count, 0) else f"{now}"

    await eventually(5, "all are cached, and none is stored", counted)


async def test_what_python_found_is_offered_to_petald(swarm):
    """cache_nearest: a found value is handed to the node nearest to the key that has it not."""
    if swarm.position == "only":
        return  # nobody else could hold it first
    offering = await swarm.stage.node(swarm.petald.addresses, client_mode=True, cache_nearest=1)
    nodes = [swarm.petald.node_id] + [member.node_id for member in swarm.members]

    def nearest(key):
        return min(nodes, key=DHTID.generate(source=key).xor_distance)

    key = next(key for key in (fresh("offered") for _ in range(1000)) if nearest(key) == swarm.petald.node_id)
    expiration = in_seconds(TTL)
    assert await plant(swarm.reader, swarm.writer.peer_id, key, "found", expiration) == [True]
    assert await offering.get(key) == ("found", expiration)

    async def offered():
        held = await asked(swarm.reader, swarm.petald.peer_id, key)
        return None if held and held.expiration_time == expiration else f"petald holds {held}"

    await eventually(5, "petald was given what was found", offered)
    await swarm.stage.stop(offering)


async def test_what_was_used_is_read_again_before_it_expires(stage):
    """cache_refresh_before_expiry, with petald as the source."""
    petald = await stage.petald()
    writer = await stage.node(petald.addresses, client_mode=True)
    node = await stage.node(petald.addresses, client_mode=True, cache_refresh_before_expiry=2.0)
    key, unused, now = fresh("refreshed"), fresh("unused"), in_seconds(0)
    keys = [key, unused]
    assert all((await writer.store_many(keys, ["first"] * 2, now + 4.0, exclude_self=True)).values())
    await node.get_many(keys)
    cached = node.protocol.cache
    await eventually(
        1, "both are cached", lambda: None if all(DHTID.generate(source=k) in cached for k in keys) else f"{cached}"
    )
    assert await node.get(key) == ("first", now + 4.0), "from the cache, which makes it one that is used"
    assert all((await writer.store_many(keys, ["second"] * 2, now + TTL, exclude_self=True)).values())

    def refreshed():
        cached = node.protocol.cache.get(DHTID.generate(source=key))
        return None if cached and cached.expiration_time == now + TTL else f"{cached}"

    await eventually(5, "the cache holds the next value before the first expires", refreshed)
    await asyncio.sleep(max(0.0, now + 4.1 - in_seconds(0)))
    assert node.protocol.cache.get(DHTID.generate(source=unused)) is None
