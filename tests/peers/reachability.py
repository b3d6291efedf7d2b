"""Python peers that speak petals' own ReachabilityProtocol (`petals/server/reachability.py`).

Runs in the petals environment. A node here is a p2pd with a DHT node on it, as a Petals server starts it to find out
whether it can be called: it serves `rpc_check` and asks others.
"""

import asyncio
import os

import uvloop
from hivemind.dht import DHTNode
from hivemind.p2p import P2P, PeerID

from json_lines import claim_stdout, serve
from petals_modules import load_reachability

reachability = load_reachability()

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"


class Servers:
    def __init__(self):
        self.nodes = {}

    async def do_start(self, name, initial_peers, listens=True, serves=True):
        """A client of the DHT. One that does not listen can be called over its own connections alone, as behind a NAT."""
        node = await DHTNode.create(
            client_mode=True, initial_peers=initial_peers, nat_port_map=False, no_listen=not listens
        )
        protocol = reachability.ReachabilityProtocol(probe=node.protocol.p2p)
        if serves:
            await protocol.add_p2p_handlers(node.protocol.p2p)
        self.nodes[name] = node, protocol
        return node.peer_id.to_base58()

    async def do_ask(self, name, peer, about):
        """What `peer` says of `about`: true or false, or null where it gives no answer."""
        _, protocol = self.nodes[name]
        return await protocol.call_check(PeerID.from_base58(peer), check_peer=PeerID.from_base58(about))

    async def do_check_direct_reachability(self, initial_peers, listens=True):
        """petals' own function, which blocks: it starts a node and asks all whom it meets."""
        return await asyncio.get_running_loop().run_in_executor(
            None,
            lambda: reachability.check_direct_reachability(
                initial_peers=initial_peers, nat_port_map=False, no_listen=not listens
            ),
        )

    async def shut_down(self):
        await asyncio.gather(*(node.shutdown() for node, _ in self.nodes.values()))


async def main(answers):
    servers = Servers()
    try:
        await serve(servers, answers)
    finally:
        await servers.shut_down()


if __name__ == "__main__":
    answers = claim_stdout()
    uvloop.install()
    asyncio.run(main(answers))
