"""Starting while some of the initial peers, or all of them, are away."""

import asyncio
import socket

import pytest
from conftest import TTL, asked, eventually, fresh, in_seconds
from hivemind.p2p import P2P, P2PDaemonError, PeerID

NOBODY = "QmdaK4LUeQaKhqSFPRu9N7MvXUEWDxWwtCvPrS444tCgd1"  # a peer id that no node has


def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def test_python_refuses_to_start_alone_and_starts_through_petald(stage):
    nobody = f"/ip4/127.0.0.1/tcp/{closed_port()}/p2p/{NOBODY}"
    with pytest.raises(P2PDaemonError, match="(?i)failed to connect to bootstrap peers"):
        await stage.node([nobody])
    petald = await stage.petald()
    node = await stage.node([nobody, *petald.addresses])
    assert petald.peer_id in node.protocol.routing_table


async def test_petald_waits_for_its_only_bootstrap(stage, tmp_path):
    port, identity = closed_port(), str(tmp_path / "identity")
    P2P.generate_identity(identity)
    with open(identity, "rb") as file:
        peer_id = PeerID.from_identity(file.read())
    petald = await stage.announcing([f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}"])

    def failed():
        report = petald.report("bootstrap")
        return None if report["initial_peers"][0]["failures"] and not report["joined"] else f"{report}"

    await eventually(20, "petald has tried in vain", failed)
    assert petald.process.poll() is None
    root = await stage.node(identity_path=identity, host_maddrs=[f"/ip4/127.0.0.1/tcp/{port}"])
    assert root.peer_id == peer_id

    async def announced():
        return None if await root.get("conformance.1") else "no record"

    await eventually(30, "petald has joined and announced", announced)
    assert petald.peer_id in root.protocol.routing_table


async def test_petald_alone_serves_whoever_comes(stage):
    petald = await stage.petald()
    assert petald.report("dht")["known_nodes"] == 0
    nodes = await asyncio.gather(*(stage.node(petald.addresses, client_mode=True) for _ in range(3)))
    key = fresh("alone")
    assert await nodes[0].store(key, "value", in_seconds(TTL), exclude_self=True)
    assert [(await node.get(key)).value for node in nodes[1:]] == ["value"] * 2
    assert await asked(nodes[2], petald.peer_id, key) is not None
