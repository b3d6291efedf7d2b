"""Reads a swarm as Petals clients and the health monitor do: through petals' own functions, as a client-mode DHT peer.

Runs in the petals environment. `hivemind.DHT` is the class that a Petals client uses: it lives in a child process.
"""

import asyncio
import os
import signal

import hivemind
from hivemind.p2p import P2P
from hivemind.utils import get_dht_time

from json_lines import claim_stdout, serve, to_json
from petals_modules import load

data_structures, petals_dht = load()

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"


def server_as_json(info):
    """What ServerInfo.from_tuple made of a record, under the names of its fields."""
    state, throughput, rest = info.to_tuple()
    fields = {key: to_json(value) for key, value in rest.items()}
    return {"state": data_structures.ServerState(state).name, "throughput": throughput, **fields}


class Reader:
    dht = None

    async def do_start(self, initial_peers, client_mode=True):
        self.dht = hivemind.DHT(
            initial_peers=initial_peers, client_mode=client_mode, nat_port_map=False, num_workers=32, start=True
        )
        return {"peer_id": self.dht.peer_id.to_base58()}

    async def do_models(self):
        """`_petals.models`: dht_prefix → what ModelInfo.from_dict accepts, its time to live, and the raw value."""
        found = self.dht.get("_petals.models", latest=True)
        if found is None or not isinstance(found.value, dict):
            return to_json(found)
        return {
            prefix: {
                **vars_of(data_structures.ModelInfo.from_dict(entry.value)),
                "raw": to_json(entry),
            }
            for prefix, entry in found.value.items()
        }

    async def do_servers(self, prefix, num_blocks, min_state="ONLINE"):
        """Who serves which block, by get_remote_module_infos, and the spans that compute_spans makes of it."""
        uids = [f"{prefix}.{block}" for block in range(num_blocks)]
        infos = petals_dht.get_remote_module_infos(self.dht, uids, latest=True)
        spans = petals_dht.compute_spans(infos, min_state=data_structures.ServerState[min_state])
        return {
            "blocks": [
                {peer.to_base58(): server_as_json(server) for peer, server in info.servers.items()} for info in infos
            ],
            "spans": {
                peer.to_base58(): {"start": span.start, "end": span.end, "server": server_as_json(span.server_info)}
                for peer, span in spans.items()
            },
        }

    async def do_raw(self, keys):
        """The records as they are stored, with their types and times to live."""
        return [to_json(self.dht.get(key, latest=True)) for key in keys]

    async def do_declare(self, prefix, num_blocks, start_block, end_block, state, ttl):
        """What a Petals server does: its model and its blocks, through petals' declare_active_modules."""
        expires = get_dht_time() + ttl
        server = data_structures.ServerInfo(
            state=data_structures.ServerState[state], throughput=1.0, start_block=start_block, end_block=end_block
        )
        uids = [f"{prefix}.{block}" for block in range(start_block, end_block)]
        stored = petals_dht.declare_active_modules(self.dht, uids, server, expires)
        model = data_structures.ModelInfo(num_blocks=num_blocks, repository="https://huggingface.co/test")
        listed = self.dht.store("_petals.models", model.to_dict(), expires, subkey=prefix)
        return {"peer_id": self.dht.peer_id.to_base58(), "stored": listed and all(stored.values())}


def vars_of(model):
    return {"num_blocks": model.num_blocks, "repository": model.repository}


async def main(answers):
    reader = Reader()
    try:
        await serve(reader, answers)
    finally:
        if reader.dht is not None:
            reader.dht.shutdown()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(main(claim_stdout()))
