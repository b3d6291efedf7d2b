"""One identity, one node: whoever comes second with the same key is told by the swarm."""

import pytest
from conftest import addresses, eventually, met
from hivemind.p2p import P2P, P2PDaemonError, PeerID


async def test_a_second_python_node_is_refused_through_petald(stage, tmp_path):
    petald, identity = await stage.petald(), str(tmp_path / "identity")
    first = await stage.node(petald.addresses, identity_path=identity)
    with pytest.raises(P2PDaemonError, match="already taken"):
        await stage.node(petald.addresses, identity_path=identity)
    # The name is free again once its owner is gone.
    await stage.stop(first)
    second = await stage.node(petald.addresses, identity_path=identity)
    assert second.peer_id == first.peer_id


async def test_nobody_takes_the_identity_of_petald(stage, tmp_path):
    identity = str(tmp_path / "identity")
    P2P.generate_identity(identity)
    with open(identity, "rb") as file:
        expected = PeerID.from_identity(file.read())
    root = await stage.node()
    petald = await stage.petald(await addresses(root), network__identity=identity)
    assert petald.peer_id == expected, "a hivemind identity file, as it is"

    await met(root, petald)
    doors = await addresses(root)
    options = {"tls": True, "use_auto_relay": False, "use_ipfs": False, "use_relay": True}

    async def free():
        # What a node asks before it starts with a key. One look may fail, and the original takes that for a free name.
        taken = await P2P.is_identity_taken(identity, initial_peers=doors, **options)
        return None if taken else "nobody finds petald by its peer id"

    await eventually(20, "the identity is taken", free)
