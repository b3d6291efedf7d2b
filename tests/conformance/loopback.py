"""hivemind, fit for loopback: importing this keeps all that it starts from asking a router for a port.

p2pd may take a minute to start, four times what hivemind allows: a busy machine is no fault of anybody under test.
Its sockets go to the folder in PEER_SOCKETS, if there is one.
"""

import os

from hivemind.p2p import P2P


def without_port_mapping(create):
    async def created(cls, *arguments, **options):
        return await create(cls, *arguments, **{"startup_timeout": 60, **options, "nat_port_map": False})

    return classmethod(created)


P2P.create = without_port_mapping(P2P.create.__func__)

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"
