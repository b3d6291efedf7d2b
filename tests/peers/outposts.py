"""Real hivemind DHT nodes that can be killed, and a reader that looks every second: for chaos.

Each node's p2pd runs under the command that it is given, so that it lives in a network namespace of its own; what the
nodes have in common is this process, never the network. A killed node's p2pd gets SIGKILL; when it is started again it
is a new node, with the same peer id if it is given the same identity file, another node id, and nothing stored, which
is what a restarted hivemind node is.
"""

import asyncio
import contextlib
import contextvars
import math
import os
import signal
import time

import uvloop
from hivemind.dht import DHTID, DHTNode
from hivemind.dht.node import Blacklist
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.p2p import P2P, PeerID
from hivemind.utils import MSGPackSerializer, get_dht_time
from hivemind.utils.multiaddr import Multiaddr

from json_lines import claim_stdout, serve

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"

ENTER = contextvars.ContextVar("enter", default=())  # the command under which p2pd is started
make_process_args = P2P._make_process_args
P2P._make_process_args = staticmethod(lambda *args, **kwargs: [*ENTER.get(), *make_process_args(*args, **kwargs)])

ONLINE = 2
PATIENCE = 15  # seconds for one look
MOST_LOOKS = 20  # at once


class Shunning(Blacklist):
    """A node's blacklist that holds one peer for ever, and others for five seconds after each failure."""

    def __init__(self, peer_id):
        super().__init__(base_time=5.0, backoff_rate=1.0)
        self.peer_id = peer_id

    def __contains__(self, peer_id):
        return peer_id == self.peer_id or super().__contains__(peer_id)


class Outposts:
    def __init__(self):
        self.nodes = {}
        self.looks = []
        self.looking = None

    async def do_start(self, name, enter, address, initial_peers, identity, client_mode=False):
        """Starts a node that listens on `address` (with its port) and joins through those of its peers that answer."""
        ENTER.set(enter)
        options = {"use_relay": False, "auto_nat": False, "nat_port_map": False, "check_if_identity_free": False}
        if client_mode:
            # A stranger has no cache to fall back on, and each look is one of its own.
            options |= {"cache_locally": False, "cache_nearest": 0, "cache_on_store": False}
            options |= {"reuse_get_requests": False}
        node = await DHTNode.create(
            initial_peers=initial_peers,
            client_mode=client_mode,
            identity_path=identity,
            host_maddrs=[address],
            ensure_bootstrap_success=False,
            **options,
        )
        self.nodes[name] = node
        addresses = [str(address) for address in await node.p2p.get_visible_maddrs()]
        return {"addresses": addresses}

    async def do_kill(self, name):
        node = self.nodes.pop(name)
        os.kill(node.p2p._child.pid, signal.SIGKILL)
        asyncio.create_task(self._bury(node))

    async def _bury(self, node):
        with contextlib.suppress(Exception):
            await asyncio.wait_for(node.shutdown(), 5)

    async def do_rejoin(self, name, initial_peers):
        """From now on a node is joined through these: it forgets nobody, and greets whoever it has lost."""
        self.nodes[name].friends = [PeerID.from_base58(Multiaddr(address)["p2p"]) for address in initial_peers]

    async def do_watch(self, name, prefix, blocks, peer_id, interval):
        """Looks every `interval` seconds for the records of a model's blocks under `peer_id`, until `unwatch`.

        That peer itself is never asked: what only it holds is lost with it.
        """
        node = self.nodes[name]
        node.blacklist = Shunning(PeerID.from_base58(peer_id))
        self.looking = asyncio.create_task(self._watch(node, prefix, blocks, peer_id, interval))

    async def do_unwatch(self):
        if self.looking is not None:
            self.looking.cancel()

    async def do_looks(self):
        """The looks that have ended since this was last asked."""
        looks, self.looks = self.looks, []
        return looks

    async def _watch(self, node, prefix, blocks, peer_id, interval):
        under_way = set()
        greetings = {}
        due = time.monotonic()
        while True:
            self._greet(node, greetings)
            if len(under_way) < MOST_LOOKS:
                task = asyncio.create_task(self._look(node, prefix, blocks, peer_id))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            due += interval
            await asyncio.sleep(max(0, due - time.monotonic()))

    def _greet(self, node, greetings):
        """hivemind forgets whoever failed once, for good if it was the last: a reader that is blind says nothing of us."""
        for peer in getattr(node, "friends", ()):
            if peer not in node.protocol.routing_table and (peer not in greetings or greetings[peer].done()):
                greetings[peer] = asyncio.create_task(node.protocol.call_ping(peer))

    async def _look(self, node, prefix, blocks, peer_id):
        began = time.time()
        uids = [f"{prefix}.{block}" for block in range(blocks)]
        look = {"at": began, "known": len(node.protocol.routing_table.uid_to_peer_id), "missing": [], "stalest": 0.0}
        look["stuck"], look["evidence"] = None, None
        try:
            keys = ["_petals.models", *uids]
            found = await asyncio.wait_for(node.get_many(keys, sufficient_expiration_time=math.inf), PATIENCE)
            now, expirations = get_dht_time(), []
            for key in keys:
                entry = self._entry(found.get(key), prefix if key == "_petals.models" else peer_id)
                online = entry is not None and (key == "_petals.models" or entry.value[0] == ONLINE)
                if online and entry.expiration_time > now:
                    expirations.append(entry.expiration_time)
                else:
                    look["missing"].append(key)
            look["stalest"] = min(expirations, default=0.0)
            if look["missing"]:
                holders, silent = await self._holders(node, look["missing"], prefix, peer_id)
                look["evidence"] = f"held by: {holders}; no answer from: {silent}"
                if all(holders.values()):
                    look["stuck"] = "the search failed: all of it is there"
        except Exception as error:  # the reader's own failure: it says nothing of the records
            look["stuck"] = repr(error)
        look["took"] = time.time() - began
        self.looks.append(look)

    async def _holders(self, node, missing, prefix, peer_id):
        """Asks everybody for what a search did not find: who holds each key alive, and who did not answer.

        Whoever the reader has lost sight of is asked as well: a stranger with another start would have asked them.
        """
        ids = {key: DHTID.generate(source=key) for key in missing}
        known = set(node.protocol.routing_table.peer_id_to_uid) | set(getattr(node, "friends", ()))
        peers = [peer for peer in known if peer != node.blacklist.peer_id]
        answers = await asyncio.gather(*(node.protocol.call_find(peer, list(ids.values())) for peer in peers))
        holders = {key: [] for key in missing}
        for peer, answer in zip(peers, answers):
            for key, key_id in ids.items():
                found, _ = (answer or {}).get(key_id, (None, None))
                if found is not None and isinstance(found.value, DictionaryDHTValue):
                    entry = found.value.get(prefix if key == "_petals.models" else peer_id)
                    alive = entry is not None and entry.expiration_time > get_dht_time()
                    if alive and (key == "_petals.models" or MSGPackSerializer.loads(entry.value)[0] == ONLINE):
                        holders[key].append(peer.to_base58()[-6:])
        return holders, [peer.to_base58()[-6:] for peer, answer in zip(peers, answers) if answer is None]

    def _entry(self, found, subkey):
        if found is None or not isinstance(found.value, dict):
            return None
        return found.value.get(subkey)

    async def shut_down(self):
        await asyncio.gather(*(self._bury(node) for node in self.nodes.values()))


async def main(answers):
    outposts = Outposts()
    try:
        await serve(outposts, answers)
    finally:
        await outposts.shut_down()


if __name__ == "__main__":
    answers = claim_stdout()
    uvloop.install()
    asyncio.run(main(answers))
