"""Who is new and near to a key is given what it should hold."""

import asyncio

from conftest import TTL, addresses, asked, eventually, fresh, in_seconds, met
from hivemind.dht import DHTID

KEYS = 30
REPLICAS = 5


async def test_petald_is_given_what_a_lone_python_node_holds(stage):
    root = await stage.node()
    keys, expiration = [fresh("given") for _ in range(KEYS)], in_seconds(TTL)
    assert all((await root.store_many(keys, range(KEYS), expiration)).values())
    petald = await stage.petald(await addresses(root))
    await met(root, petald)

    async def given():
        held = [await asked(root, petald.peer_id, key) for key in keys]
        missing = sum(item is None or item.expiration_time != expiration for item in held)
        return None if missing == 0 else f"{missing} of {KEYS} are missing"

    await eventually(10, "petald holds all", given)


async def test_a_new_python_node_is_given_what_a_lone_petald_holds(stage):
    petald = await stage.petald()
    owner = await stage.node(petald.addresses, client_mode=True)
    keys, expiration = [fresh("handed") for _ in range(KEYS)], in_seconds(TTL)
    stored = await owner.store_many(keys, range(KEYS), expiration, exclude_self=True)
    assert all(stored.values())
    assert await owner.store("dictionary", "entry", expiration, subkey="subkey", exclude_self=True)
    node = await stage.node(petald.addresses)

    def given():
        held = [node.protocol.storage.get(DHTID.generate(source=key)) for key in keys + ["dictionary"]]
        missing = sum(item is None or item.expiration_time != expiration for item in held)
        return None if missing == 0 else f"{missing} of {KEYS + 1} are missing"

    await eventually(10, "the new node holds all", given)


async def test_a_new_node_among_many_is_given_its_own_keys_and_no_others(stage):
    """Whoever is nearest to a key among those who know each other hands it over: exactly the keys near the new node.

    As in the original, the one who hands over does not count itself among the replicas: the sixth nearest is given too.
    """
    petald = await stage.petald()
    # One after another: each finds all before it, and is met by them.
    others = [await stage.petald(petald.addresses) for _ in range(7)]
    owner = await stage.node(petald.addresses, client_mode=True)

    def strangers():
        known = [one.report("dht")["known_nodes"] for one in [petald, *others]]
        return None if all(count == len(others) for count in known) else f"{known} known of {len(others)}"

    await eventually(20, "the swarm knows itself", strangers)
    keys, expiration = [fresh("near") for _ in range(KEYS)], in_seconds(TTL)
    assert all((await owner.store_many(keys, range(KEYS), expiration, exclude_self=True)).values())
    node = await stage.node(petald.addresses + others[0].addresses)
    members = [petald.node_id, *(other.node_id for other in others), node.node_id]

    def among_nearest(count):
        distance = {key: DHTID.generate(source=key).xor_distance for key in keys}
        return {key for key in keys if node.node_id in sorted(members, key=distance[key])[:count]}

    def held():
        return {key for key in keys if node.protocol.storage.get(DHTID.generate(source=key))}

    def given():
        missing = among_nearest(REPLICAS) - held()
        return f"{len(missing)} are missing" if missing else None

    await eventually(10, "the new node holds what is near to it", given)
    await asyncio.sleep(0.5)
    surplus = held() - among_nearest(REPLICAS + 1)
    assert not surplus, f"{len(surplus)} keys that others are nearer to"
