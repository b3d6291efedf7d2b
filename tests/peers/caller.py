"""A Python client that calls `rpc_info` as Petals clients do, as many times at once as it is told."""

import asyncio
import os
import time

import uvloop
from hivemind.p2p import P2P, P2PContext, PeerID, ServicerBase
from hivemind.proto import runtime_pb2
from hivemind.utils.multiaddr import Multiaddr

from json_lines import claim_stdout, serve

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"


class TransformerConnectionHandler(ServicerBase):
    """The name and the method, for a stub."""

    async def rpc_info(self, request: runtime_pb2.ExpertUID, context: P2PContext) -> runtime_pb2.ExpertInfo:
        raise NotImplementedError


class Caller:
    p2p = None

    async def do_start(self):
        self.p2p = await P2P.create(nat_port_map=False)

    async def do_connect(self, peer, addresses):
        await self.p2p._client.connect(PeerID.from_base58(peer), [Multiaddr(address) for address in addresses])

    async def do_call(self, peer, at_once, count):
        """So many calls, so many of them at once: seconds, failures, and the first of them."""
        stub = TransformerConnectionHandler.get_stub(self.p2p, PeerID.from_base58(peer))
        left, failures = count, []

        async def worker():
            nonlocal left
            while left > 0:
                left -= 1
                try:
                    answer = await stub.rpc_info(runtime_pb2.ExpertUID(uid=""), timeout=20)
                    assert answer.serialized_info, "an answer without anything"
                except Exception as error:
                    failures.append(repr(error))

        began = time.monotonic()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return {"seconds": time.monotonic() - began, "failed": len(failures), "failure": (failures or [None])[0]}


async def main(answers):
    caller = Caller()
    try:
        await serve(caller, answers)
    finally:
        if caller.p2p is not None:
            await caller.p2p.shutdown()


if __name__ == "__main__":
    answers = claim_stdout()
    uvloop.install()
    asyncio.run(main(answers))
