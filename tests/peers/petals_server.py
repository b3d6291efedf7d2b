"""A Petals server as far as `rpc_info` goes: petals' own connection handler, in the process that it forks, on a hivemind DHT.

Runs in the petals environment, which lacks what runs models (transformers, tensor_parallel, …): modules that the handler
imports for other calls are empty here, and its one block says no more than how much of its cache is free. `rpc_info`,
the process, the DHT, its p2pd and all between them are the real ones.
"""

import asyncio
import importlib
import multiprocessing as mp
import os
import signal
import sys
import types
from pathlib import Path

import hivemind
import hivemind.utils.asyncio
from hivemind import compression, p2p, utils
from hivemind.p2p import P2P

from json_lines import claim_stdout, serve
from petals_modules import prepare

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"


OF_AN_OLDER_HIVEMIND = {
    "MSGPackSerializer",
    "P2PContext",
    "PeerID",
    "deserialize_tensor_stream",
    "deserialize_torch_tensor",
    "nested_flatten",
    "nested_pack",
    "serialize_torch_tensor",
}


class TransformerBackend:
    """A block of which nothing is there but the count of free tokens."""

    class memory_cache:
        bytes_left = 1 << 30

    cache_bytes_per_token = {"cpu": 1 << 14}


def load_handler():
    """petals.server.handler, unchanged, among empty neighbours."""
    prepare()
    sys.modules["petals"].__version__ = "2.2.0.post1"
    # petals was written for a hivemind that had these at its top level.
    for module in (compression, p2p, utils):
        vars(hivemind).update({name: vars(module)[name] for name in OF_AN_OLDER_HIVEMIND & vars(module).keys()})
    hivemind.utils.asyncio.anext = None
    for name, contents in {
        "async_timeout": {"timeout": None},
        "petals.server.backend": {"TransformerBackend": TransformerBackend},
        "petals.server.block_functions": dict.fromkeys(["iterate_rpc_inference", "run_rpc_backward", "run_rpc_forward"]),
        "petals.server.task_prioritizer": {"DummyTaskPrioritizer": object, "TaskPrioritizerBase": object},
        "petals.utils.convert_block": {"QuantType": types.SimpleNamespace},
    }.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(contents)
    return importlib.import_module("petals.server.handler")


def descendants(root):
    """The process and all that it started."""
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        for thread in Path(f"/proc/{found[-1]}/task").iterdir():
            waiting += map(int, (thread / "children").read_text().split())
    return found


class Server:
    dht = handler = None

    async def do_start(self):
        module = load_handler()
        self.dht = hivemind.DHT(nat_port_map=False, start=True)
        self.handler = module.TransformerConnectionHandler(
            self.dht, {"a-model.0": TransformerBackend()}, adapters=(), dht_prefix="a-model",
            handler_event_queues=[mp.Queue()], handler_index=0, inference_max_length=2048,
            request_timeout=60, session_timeout=60, step_timeout=60, quant_type=None,
        )  # fmt: skip
        self.handler.run_in_background()
        addresses = [str(address) for address in self.dht.get_visible_maddrs()]
        return {"peer_id": self.dht.peer_id.to_base58(), "addresses": addresses, "processes": descendants(os.getpid())}

    def shut_down(self):
        for part in (self.handler, self.dht):
            if part is not None:
                part.shutdown()


async def main(answers):
    server = Server()
    try:
        await serve(server, answers)
    finally:
        server.shut_down()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(main(claim_stdout()))
