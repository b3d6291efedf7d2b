"""Who does not answer is left out for a while, and asked again when it is back."""

import asyncio

from conftest import TTL, addresses, asked, eventually, fresh, in_seconds
from hivemind.dht import DHTID


async def test_python_goes_round_a_dead_petald_and_returns_to_it(stage):
    petald = await stage.petald()
    a = await stage.node(petald.addresses, blacklist_time=1.0, cache_locally=False, cache_nearest=0)
    b = await stage.node(petald.addresses)
    await b.find_nearest_nodes([b.node_id])
    key = fresh("blacklist")
    assert await b.store(key, "value", in_seconds(TTL))
    assert not a.blacklist.ban_counter

    await asyncio.to_thread(petald.kill)
    assert (await a.get(key, latest=True)).value == "value"
    assert petald.peer_id in a.blacklist and b.peer_id not in a.blacklist

    # It returns under its own identity and node id, through the peers that are left, at another port.
    before = petald.peer_id, petald.node_id
    petald.configure(await addresses(b))
    petald.start()
    await asyncio.to_thread(petald.ready)
    assert (petald.peer_id, petald.node_id) == before

    async def back():
        await a.get(fresh("anything"))
        if petald.peer_id in a.blacklist or petald.peer_id not in a.protocol.routing_table:
            return f"{a.blacklist}, {len(a.protocol.routing_table.peer_id_to_uid)} known"
        return None if a.blacklist.ban_counter[petald.peer_id] == 0 else f"{a.blacklist.ban_counter}"

    await eventually(15, "petald is asked again", back)


async def test_petald_lists_nobody_who_is_gone_and_keeps_its_records_alive(stage):
    root = await stage.node()
    petald = await stage.announcing(await addresses(root))
    others = [await stage.node(await addresses(root)) for _ in range(3)]
    block = "conformance.0"

    async def everywhere(nodes):
        for node in nodes:
            held = await asked(root, node.peer_id, block) if node is not root else node.protocol.storage.get(
                DHTID.generate(source=block)
            )
            if held is None or held.expiration_time < in_seconds(55):
                return f"{node.peer_id} holds {held}"

    await eventually(20, "all hold what petald announces", lambda: everywhere([root, *others]))
    for gone in others[:2]:
        await stage.stop(gone)

    async def forgotten():
        listed = (await root.protocol.call_find(petald.peer_id, [petald.node_id]))[petald.node_id][1]
        gone = {node.peer_id for node in others[:2]}
        if gone & set(listed.values()):
            return f"{len(gone & set(listed.values()))} of two are listed"

    await eventually(30, "petald lists nobody who is gone", forgotten)
    # The records are younger than the departure: two seconds are the period.
    await eventually(20, "those who are left hold fresh records", lambda: everywhere([root, others[2]]))
