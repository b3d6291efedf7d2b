"""Real hivemind DHT nodes, as many as a test asks for in one process, each with a p2pd of its own.

A process that has imported hivemind costs 500 MB and 2 s, a node in it 60 MB (its p2pd) and 0.3 s. The commands are
the `do_` methods; nodes are named by the test. p2pd's sockets go to the folder in PEER_SOCKETS.
"""

import asyncio
import functools
import os
import time

import uvloop
from hivemind.dht import DHTID, DHTNode
from hivemind.dht.crypto import RSASignatureValidator
from hivemind.dht.protocol import DHTProtocol
from hivemind.p2p import P2P, P2PContext, PeerID, ServicerBase
from hivemind.proto import runtime_pb2
from hivemind.utils import MSGPackSerializer, get_dht_time
from hivemind.utils.crypto import RSAPrivateKey

from json_lines import claim_stdout, from_json, serve, to_json

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"

STORE_CALLS = []  # every rpc_store that a node of this process received


def counting(rpc_store):
    @functools.wraps(rpc_store)
    async def counted(self, request, context):
        STORE_CALLS.append(
            {
                "callee": context.local_id.to_base58(),
                "caller": context.remote_id.to_base58(),
                "rows": len(request.keys),
                "in_cache": any(request.in_cache),
                "expirations": sorted(set(request.expiration_time)),
                "bytes": request.ByteSize(),
                "at": time.time(),
            }
        )
        return await rpc_store(self, request, context)

    return counted


DHTProtocol.rpc_store = counting(DHTProtocol.rpc_store)


class TransformerConnectionHandler(ServicerBase):
    """A Petals server's name and the one method of it that a monitor calls, for the stub; it also serves itself."""

    async def rpc_info(self, request: runtime_pb2.ExpertUID, context: P2PContext) -> runtime_pb2.ExpertInfo:
        if request.uid:
            raise KeyError(request.uid)
        return runtime_pb2.ExpertInfo(serialized_info=MSGPackSerializer.dumps({"python": True}))


class Swarm:
    def __init__(self):
        self.nodes = {}

    async def _start(self, name, initial_peers, client_mode, identities, validates):
        # A peer that has an identity file has an RSA key, as hivemind makes it, and p2pd without one an Ed25519 key.
        identity = os.path.join(identities, name) if identities else None
        # nat_port_map: no UPnP from a loopback test. p2pd listens on /ip4/127.0.0.1/tcp/0 by itself.
        node = await DHTNode.create(
            initial_peers=initial_peers,
            client_mode=client_mode,
            identity_path=identity,
            nat_port_map=False,
            record_validator=RSASignatureValidator(RSAPrivateKey()) if validates else None,
        )
        self.nodes[name] = node
        return {
            "name": name,
            "peer_id": node.peer_id.to_base58(),
            "node_id": node.node_id.to_bytes().hex(),
            "addresses": [str(address) for address in await node.p2p.get_visible_maddrs()],
        }

    async def do_start(self, names, initial_peers=(), client_mode=False, identities=None, validates=False):
        """Starts nodes with the given initial peers; without any, the first is the bootstrap of the others.

        `identities` is a folder for their identity files. Nodes that validate sign what they store under subkeys
        that name them as the owner, each with a key of its own, and believe in such records only if they are signed.
        """
        names, initial_peers, started = list(names), list(initial_peers), []
        if not initial_peers:
            started.append(await self._start(names.pop(0), [], client_mode, identities, validates))
            initial_peers = started[0]["addresses"]
        options = client_mode, identities, validates
        started += await asyncio.gather(*(self._start(name, initial_peers, *options) for name in names))
        return started

    async def do_stop(self, name):
        await self.nodes.pop(name).shutdown()

    async def do_store(self, name, key, value, ttl, subkey=None):
        """Stores a plain value, or with {"is": subkey} an entry of a dictionary; True if a node took it."""
        options = {} if subkey is None else {"subkey": from_json(subkey["is"])}
        return await self.nodes[name].store(from_json(key), from_json(value), get_dht_time() + ttl, **options)

    async def do_get(self, name, key):
        """The latest value that the swarm has, with its time to live; null if none."""
        return to_json(await self.nodes[name].get(from_json(key), latest=True))

    async def do_owner(self, name):
        """What marks a subkey as this node's own: the node has to validate."""
        return self.nodes[name].protocol.record_validator.local_public_key.decode()

    async def do_key_id(self, key):
        """The DHT id of a key, in hex."""
        return DHTID.generate(source=from_json(key)).to_bytes().hex()

    async def do_ping(self, name, peer, validate=True):
        """DHTProtocol.rpc_ping as a joining node calls it: the peer's node id, or null. Raises if it cannot call back."""
        node_id = await self.nodes[name].protocol.call_ping(PeerID.from_base58(peer), validate=validate)
        return None if node_id is None else node_id.to_bytes().hex()

    async def do_routing_table(self, name):
        """The peer ids in the node's hivemind routing table."""
        table = self.nodes[name].protocol.routing_table
        return sorted(peer.to_base58() for peer in table.peer_id_to_uid)

    async def do_connections(self, name):
        """The peers that the node's p2pd is connected to."""
        return sorted(info.peer_id.to_base58() for info in await self.nodes[name].p2p.list_peers())

    async def do_serve_rpc_info(self, name):
        await TransformerConnectionHandler().add_p2p_handlers(self.nodes[name].p2p)

    async def do_rpc_info(self, name, peer, uids, timeout=5):
        """Calls rpc_info once for each uid, all at once, by peer id only: p2pd finds the address through kad."""
        stub = TransformerConnectionHandler.get_stub(self.nodes[name].p2p, PeerID.from_base58(peer))

        async def one(uid):
            try:
                info = await stub.rpc_info(runtime_pb2.ExpertUID(uid=uid), timeout=timeout)
            except Exception as error:
                return {"error": str(error) or repr(error), "kind": type(error).__name__}
            return {"ok": to_json(MSGPackSerializer.loads(info.serialized_info))}

        return await asyncio.gather(*(one(uid) for uid in uids))

    async def do_store_calls(self):
        """Every rpc_store received so far, by all nodes of this process."""
        return STORE_CALLS

    async def shut_down(self):
        await asyncio.gather(*(node.shutdown() for node in self.nodes.values()))


async def main(answers):
    swarm = Swarm()
    try:
        await serve(swarm, answers)
    finally:
        await swarm.shut_down()


if __name__ == "__main__":
    answers = claim_stdout()
    uvloop.install()
    asyncio.run(main(answers))
