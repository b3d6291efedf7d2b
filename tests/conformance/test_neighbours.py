"""In a swarm of fifty, who is listed as nearest to a key, and in which order: exactly as a look at all node ids says."""

import itertools

from conftest import fresh
from hivemind.dht import DHTID

KEYS_PER_CALL = 16


def queries(fifty, count=160):
    """Random places, and each node's own."""
    return [DHTID.generate() for _ in range(count)] + list(fifty.peers)


async def listed(node, peer_id, key_ids):
    """For each key the nodes that a peer lists, in its order."""
    found = {}
    for begin in range(0, len(key_ids), KEYS_PER_CALL):
        answer = await node.protocol.call_find(peer_id, key_ids[begin : begin + KEYS_PER_CALL])
        assert answer is not None, f"{peer_id} does not answer rpc_find"
        found.update({key_id: neighbours for key_id, (_, neighbours) in answer.items()})
    return found


async def test_petald_lists_the_nearest_first(fifty):
    key_ids = queries(fifty)
    found = await listed(fifty.asker, fifty.petald.peer_id, key_ids)
    for key_id in key_ids:
        assert list(found[key_id]) == fifty.nearest(key_id, without=[fifty.petald.node_id])


async def test_petald_leaves_out_who_asks(fifty):
    asker, key_ids = fifty.nodes[-1], queries(fifty, 50)
    found = await listed(asker, fifty.petald.peer_id, key_ids)
    for key_id in key_ids:
        assert list(found[key_id]) == fifty.nearest(key_id, without=[fifty.petald.node_id, asker.node_id])


async def test_petald_tells_the_peer_of_each_node(fifty):
    found = await listed(fifty.asker, fifty.petald.peer_id, queries(fifty, 50))
    named = dict(itertools.chain.from_iterable(neighbours.items() for neighbours in found.values()))
    others = fifty.peers.keys() - {fifty.petald.node_id}
    assert named == {node_id: fifty.peers[node_id] for node_id in others}


async def test_python_lists_petalds_in_the_same_order(fifty):
    key_ids = queries(fifty)
    found = await listed(fifty.asker, fifty.python.peer_id, key_ids)
    for key_id in key_ids:
        assert list(found[key_id]) == fifty.nearest(key_id, without=[fifty.python.node_id])


async def test_a_search_through_petalds_finds_the_nearest(fifty):
    for query in [DHTID.generate(source=fresh("query")) for _ in range(20)]:
        found = (await fifty.asker.find_nearest_nodes([query], k_nearest=10, exclude_self=True))[query]
        assert list(found.items()) == [(node_id, fifty.peers[node_id]) for node_id in fifty.nearest(query, 10)]


async def test_a_search_finds_each_node_at_its_own_place(fifty):
    for node_id, peer_id in fifty.peers.items():
        found = (await fifty.asker.find_nearest_nodes([node_id], k_nearest=1, exclude_self=True))[node_id]
        assert found == {node_id: peer_id}


async def test_a_wide_search_finds_everybody(fifty):
    anywhere = DHTID.generate()
    found = (await fifty.asker.find_nearest_nodes([anywhere], k_nearest=150, exclude_self=True))[anywhere]
    assert found == fifty.peers and list(found) == fifty.nearest(anywhere, len(fifty.peers))
