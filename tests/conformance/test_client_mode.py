"""A client uses the swarm, and is no part of it."""

from conftest import TTL, eventually, fresh, in_seconds
from hivemind.dht import DHTID


async def test_a_client_stores_and_reads_and_is_listed_by_nobody(swarm):
    known = swarm.petald.report("dht")["known_nodes"]
    client = await swarm.stage.node(swarm.petald.addresses, client_mode=True, cache_locally=False, cache_nearest=0)
    key = fresh("client")
    assert await client.store(key, "of a client", in_seconds(TTL), exclude_self=True)
    assert (await swarm.reader.get(key)).value == "of a client"
    assert (await client.get(key, latest=True)).value == "of a client"

    for query in (client.node_id, DHTID.generate()):
        answer = await swarm.reader.protocol.call_find(swarm.petald.peer_id, [query])
        listed = answer[query][1]
        assert client.node_id not in listed and client.peer_id not in listed.values()
    assert swarm.petald.report("dht")["known_nodes"] == known
    for member in swarm.members:
        assert client.peer_id not in member.protocol.routing_table
    await swarm.stage.stop(client)


async def test_a_client_joins_with_validation(swarm):
    client = await swarm.stage.node(swarm.petald.addresses, client_mode=True)
    assert await client.protocol.call_ping(swarm.petald.peer_id, validate=True, strict=True) == swarm.petald.node_id
    await swarm.stage.stop(client)


async def test_a_full_node_is_called_back_before_it_is_available(swarm):
    if swarm.position == "only":
        return await test_a_client_joins_with_validation(swarm)
    from hivemind.proto import dht_pb2

    request = dht_pb2.PingRequest(peer=swarm.reader.protocol.node_info, validate=True)
    answer = await swarm.reader.protocol.get_stub(swarm.petald.peer_id).rpc_ping(request, timeout=5)
    assert answer.available and DHTID.from_bytes(answer.peer.node_id) == swarm.petald.node_id
    # Nobody answers under a node id that is not his.
    request.peer.node_id = DHTID.generate().to_bytes()
    answer = await swarm.reader.protocol.get_stub(swarm.petald.peer_id).rpc_ping(request, timeout=5)
    assert not answer.available

    async def again():
        # The false claim must not have cost the node its place.
        key_id = swarm.reader.node_id
        listed = (await swarm.writer.protocol.call_find(swarm.petald.peer_id, [key_id]))[key_id][1]
        return None if listed.get(key_id) == swarm.reader.peer_id else f"{listed}"

    await eventually(5, "the node is listed under its own id", again)
