"""Who lives on the Internet of the NAT cases: two hivemind bootstraps that relay, a reader, and petalds."""

import asyncio
import contextvars
import http.client
import json
import os
import socket
import subprocess
import sys
import time

from daemon import program, write_config
from hivemind.dht import DHTNode
from hivemind.p2p import P2P, PeerID
from hivemind.proto import runtime_pb2
from hivemind.utils import MSGPackSerializer, get_dht_time

from internet import PORT, Internet, die_with_parent

ONLINE = 2
PEER_PORT = 4001
LOOK_AGAIN = 0.5  # seconds
VISIBLE_LIMIT = 60.0  # seconds from start until a reader outside finds and calls it
RPC_INFO = "TransformerConnectionHandler.rpc_info"

ENTER = contextvars.ContextVar("enter", default=())  # the command under which p2pd is started
FLAGS = contextvars.ContextVar("flags", default=())  # of p2pd, beside those that hivemind gives
make_process_args = P2P._make_process_args
P2P._make_process_args = staticmethod(
    lambda *args, **kwargs: [*ENTER.get(), *make_process_args(*args, **kwargs), *FLAGS.get()]
)


class Admin(http.client.HTTPConnection):
    """HTTP over the Unix socket, which every namespace shares."""

    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


class Petald:
    """Runs in a namespace from when it is made. `prefix` is the model that it serves, which nobody else does."""

    def __init__(self, folder, space, prefix, initial_peers, **settings):
        self.folder, self.space, self.prefix = folder, space, prefix
        folder.mkdir()
        listen = settings.pop("listen", [f"/ip4/0.0.0.0/tcp/{PORT}"])
        options = {
            "node.data_dir": str(folder / "data"),
            "network.listen": listen,
            "network.swarm": "join",
            "network.initial_peers": [str(peer) for peer in initial_peers],
            "model.dht_prefix": prefix,
            "model.num_blocks": 2,
            "server.blocks": "0:2",
            "server.state": "online",
            "announce.period": "10s",
            "announce.ttl": "60s",
            "admin.listen": f"unix:{folder}/admin.sock",
            "supervisor.probe_period": "500ms",
            "log.console": os.environ.get("PETALD_NAT_LOG", "info,libp2p=error"),
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        write_config(folder / "petald.toml", options)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PETALD__")}
        self.began = time.monotonic()
        with open(folder / "output", "ab") as output:
            self.process = subprocess.Popen(
                [*space.enter, program(), "run", "--config", str(folder / "petald.toml")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                preexec_fn=die_with_parent,
            )

    def ask(self):
        connection = Admin(str(self.folder / "admin.sock"))
        try:
            connection.request("GET", "/api/v1/node")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    async def status(self):
        """`GET /api/v1/node`, once it answers."""
        while True:
            assert self.process.poll() is None, f"petald ended with {self.process.returncode}:\n{self.output()}"
            try:
                return await asyncio.to_thread(self.ask)
            except (OSError, ValueError, http.client.HTTPException):
                await asyncio.sleep(0.1)

    async def reach(self):
        """What it says of how others reach it."""
        reports = (await self.status())["reports"]
        return {**(reports.get("network") or {}).get("reach", {}), **(reports.get("reachability") or {})}

    async def until(self, what, wanted, limit=VISIBLE_LIMIT):
        """Waits for what it says of how others reach it."""
        began = time.monotonic()
        while True:
            reach = await self.reach()
            if wanted(reach):
                return reach
            assert time.monotonic() - began < limit, f"not within {limit} s: {what}; {reach}"
            await asyncio.sleep(LOOK_AGAIN)

    async def peer_id(self):
        return PeerID.from_base58((await self.status())["peer_id"])

    def output(self):
        return (self.folder / "output").read_text(errors="replace")[-6000:]

    def close(self):
        self.process.kill()
        self.process.wait()


class World:
    def __init__(self, folder):
        self.folder = folder
        self.internet = Internet()
        self.nodes, self.petalds = [], []

    async def populate(self):
        self.boots = [await self.node(self.internet.host(v6=True), force_reachability="public") for _ in range(2)]
        self.initial_peers = [address for boot in self.boots for address in boot.addresses]
        self.reader = await self.node(self.internet.host(v6=True), client_mode=True)

    async def node(self, space, initial_peers=None, flags=(), **options):
        """A hivemind node in a namespace, with relaying and AutoNAT as hivemind has them by default."""
        ENTER.set(space.enter)
        FLAGS.set(flags)
        initial_peers = getattr(self, "initial_peers", self.known()) if initial_peers is None else initial_peers
        options = {"nat_port_map": False, "cache_locally": False, "reuse_get_requests": False, **options}
        if "host_maddrs" not in options:
            hosts = [f"/ip4/{space.v4}"] * bool(space.v4) + [f"/ip6/{space.v6}"] * bool(space.v6)
            options["host_maddrs"] = [f"{host}/tcp/{PEER_PORT}" for host in hosts]
        node = await DHTNode.create(initial_peers=[str(peer) for peer in initial_peers], **options)
        node.space = space
        addresses = [str(address) for address in await node.p2p.get_visible_maddrs()]
        node.addresses = [address for address in addresses if "/127.0.0.1/" not in address and "/::1/" not in address]
        self.nodes.append(node)
        return node

    def known(self):
        return [address for node in self.nodes for address in node.addresses]

    def petald(self, space, name, initial_peers=None, **settings):
        peers = self.initial_peers if initial_peers is None else initial_peers
        petald = Petald(self.folder / name, space, f"nat-{name.replace('_', '-')}", peers, **settings)
        self.petalds.append(petald)
        return petald

    async def look(self, petald, reader=None):
        """What a reader outside finds of it: None if all is well, or what is not."""
        reader = reader or self.reader
        peer_id = await petald.peer_id()
        key = f"{petald.prefix}.0"
        found = (await reader.get_many([key], sufficient_expiration_time=get_dht_time() + 3600))[key]
        entry = found.value.get(peer_id.to_base58()) if found and isinstance(found.value, dict) else None
        if entry is None:
            return "no record"
        state, _, fields = entry.value
        if state != ONLINE:
            return f"its record says {state}"
        try:
            info = await asyncio.wait_for(self.rpc_info(peer_id, reader), 10)
        except Exception as error:
            return f"no rpc_info: {error!r}"
        petald.record, petald.info = fields, info
        return None

    async def rpc_info(self, peer_id, reader=None):
        request, answer = runtime_pb2.ExpertUID(uid=""), runtime_pb2.ExpertInfo
        info = await (reader or self.reader).p2p.call_protobuf_handler(peer_id, RPC_INFO, request, answer)
        return MSGPackSerializer.loads(info.serialized_info)

    async def visible(self, petald, reader=None, limit=VISIBLE_LIMIT, since=None):
        """Waits until a reader finds it ONLINE and is answered by it; gives the seconds since its start."""
        since = petald.began if since is None else since
        while True:
            lacking = await self.look(petald, reader)
            took = time.monotonic() - since
            if lacking is None:
                return took
            assert took < limit, f"not visible within {limit} s: {lacking}; {await petald.reach()}\n{petald.output()}"
            await asyncio.sleep(LOOK_AGAIN)

    async def ways(self, petald, reader=None):
        """The addresses at which the reader is connected with it: that of a relay ends with p2p-circuit."""
        peer_id = await petald.peer_id()
        peers = await (reader or self.reader).p2p.list_peers()
        return [str(address) for peer in peers if peer.peer_id == peer_id for address in peer.addrs]

    async def close(self, show=False):
        for petald in self.petalds:
            petald.close()
            if show:
                print(f"--- {petald.folder.name} said ---\n{petald.output()}", file=sys.stderr)
        for node in self.nodes:
            try:
                await asyncio.wait_for(node.shutdown(), 5)
            except Exception as error:  # its namespace goes with it in any case
                print(f"a hivemind node did not end well: {error!r}", file=sys.stderr)
        self.internet.close()


def figure(text):
    """Prints a figure past pytest's capture: a case that passes must still be seen."""
    os.write(2, f"\nfigure: {text}\n".encode())
