"""One identity, one node: whoever comes second with the same key is told by the swarm."""

from conftest import addresses, eventually, met
from hivemind.p2p import P2P, PeerID

OPTIONS = {"tls": True, "use_auto_relay": False, "use_ipfs": False, "use_relay": True}


async def is_taken(identity, doors):
    """What a node asks before it starts with a key.

    Its daemon may look before it has taken the initial peer into its table, with a Python one every tenth time, and the
    original takes that for a free name: so this looks until the name is found taken.
    """

    async def free():
        taken = await P2P.is_identity_taken(identity, initial_peers=doors, **OPTIONS)
        return None if taken else "nobody is found by the peer id"

    await eventually(20, "the identity is taken", free)


async def test_a_second_python_node_learns_through_petald_that_its_name_is_taken(stage, tmp_path):
    petald, identity = await stage.petald(), str(tmp_path / "identity")
    first = await stage.node(petald.addresses, identity_path=identity)
    await is_taken(identity, petald.addresses)
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
    await is_taken(identity, await addresses(root))
