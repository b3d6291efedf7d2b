"""hivemind's DHT behaviour, checked among real hivemind 1.1.12 nodes with petald in one of four positions.

Run by `cargo test --test conformance` (main.rs), which sets PETALD (the program under test) and PEER_SOCKETS (a short
folder for p2pd's sockets), and starts pytest as the leader of a process group. All Python nodes live in this process, each with a p2pd of its own; their event loop has a thread
of its own, so that they answer whatever the tests do meanwhile. Test functions may be coroutines: they run in that loop.
"""

import asyncio
import functools
import inspect
import itertools
import os
import signal
import threading
import time

import pytest
import uvloop
from hivemind.dht import DHTID, DHTNode
from hivemind.p2p import P2P
from hivemind.utils import get_dht_time

from daemon import MODEL, Petald

TEST_LIMIT = 60.0  # seconds for one test, beside the long forms, which say their own
TTL = 120.0  # seconds; longer than any test that does not say otherwise

if "PEER_SOCKETS" in os.environ:
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ['PEER_SOCKETS']}/"


class Loop:
    """One event loop in a thread of its own, for all Python nodes of the run."""

    def __init__(self):
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="nodes", daemon=True)
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, coroutine, limit=TEST_LIMIT):
        async def limited():
            return await asyncio.wait_for(coroutine, limit)

        return asyncio.run_coroutine_threadsafe(limited(), self.loop).result()


NODES = Loop()
NUMBERS = itertools.count()


def end_with(parent):
    """Ends this process and all that it started when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


if "PEER_SOCKETS" in os.environ:
    threading.Thread(target=end_with, args=[os.getppid()], name="parent", daemon=True).start()


def pytest_addoption(parser):
    parser.addoption("--name", action="append", help="only cases whose name contains it; may be given again")
    parser.addoption("--churn-seconds", type=float, default=8.0, help="how long nodes are replaced")
    parser.addoption("--mixed", default="8+4", help="petald and Python nodes of the mixed swarm")
    parser.addoption("--churn", default="8+4", help="petald and Python nodes under churn")


def pytest_collection_modifyitems(config, items):
    names = config.getoption("--name")
    if names:
        left = [item for item in items if not any(name in item.nodeid for name in names)]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    mark = pyfuncitem.get_closest_marker("limit")
    NODES.run(pyfuncitem.obj(**arguments), mark.args[0] if mark else TEST_LIMIT)
    return True


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.session.petald_failed = True


async def python_node(initial_peers=(), **options):
    """A hivemind node without NAT port mapping, listening on a free port of 127.0.0.1 (p2pd's default)."""
    return await DHTNode.create(initial_peers=[str(peer) for peer in initial_peers], nat_port_map=False, **options)


class Stage:
    """Starts nodes and ends them all."""

    def __init__(self, folder, session):
        self.folder, self.session = folder, session
        self.python, self.petalds = [], []

    async def node(self, initial_peers=(), **options):
        node = await python_node(initial_peers, **options)
        self.python.append(node)
        return node

    def spawn(self, initial_peers=(), **settings):
        """A petald that does not listen yet."""
        petald = Petald(self.folder / f"petald-{next(NUMBERS)}", initial_peers, **settings)
        self.petalds.append(petald)
        return petald

    async def petald(self, initial_peers=(), **settings):
        return await asyncio.to_thread(self.spawn(initial_peers, **settings).ready)

    async def announcing(self, initial_peers=(), **settings):
        """A petald with a model to announce, every two seconds."""
        return await self.petald(initial_peers, **{**MODEL, **settings})

    async def stop(self, node):
        self.python.remove(node)
        await node.shutdown()

    async def close(self):
        await asyncio.gather(*(node.shutdown() for node in self.python), return_exceptions=True)
        for petald in self.petalds:
            petald.close(show=getattr(self.session, "petald_failed", False))


async def addresses(node):
    """Where others join through a node of either kind."""
    if isinstance(node, Petald):
        return node.addresses
    return [str(address) for address in await node.get_visible_maddrs()]


class Swarm:
    """A swarm with one petald in it. `writer` and `reader` are Python nodes; `members` are all Python full nodes.

    The reader keeps nothing and hands nothing on, so that what it reads is what the swarm holds.
    """

    def __init__(self, stage):
        self.stage = stage

    async def begin(self, position, keys):
        stage = self.stage
        quiet = {"cache_locally": False, "cache_nearest": 0, "cache_on_store": False}
        rsa = {"identity_path": str(keys / f"writer-{position}")}
        self.position, self.members = position, []
        if position == "only":
            # Clients are in nobody's table: petald is all there is.
            self.petald = await stage.petald()
            self.writer = await stage.node(self.petald.addresses, client_mode=True, **rsa)
            self.reader = await stage.node(self.petald.addresses, client_mode=True, **quiet)
            for client in (self.writer, self.reader):
                # A client takes itself for a replica, and would read its own copy instead of petald's.
                client.store_many = functools.partial(client.store_many, exclude_self=True)
            return self
        if position == "first":
            self.petald = await stage.petald()
            self.writer = await stage.node(self.petald.addresses, **rsa)
            self.reader = await stage.node(self.petald.addresses, **quiet)
            third = await stage.node(await addresses(self.writer))
        elif position == "middle":
            # The writer's side knows nothing of the reader's but through petald.
            self.writer = await stage.node(**rsa)
            third = await stage.node(await addresses(self.writer))
            self.petald = await stage.petald(await addresses(third))
            self.reader = await stage.node(self.petald.addresses, **quiet)
        elif position == "last":
            self.writer = await stage.node(**rsa)
            third = await stage.node(await addresses(self.writer))
            self.reader = await stage.node(await addresses(third), **quiet)
            self.petald = await stage.petald(await addresses(self.reader))
        self.members = [self.writer, self.reader, third]
        await self.met()
        return self

    async def met(self):
        """Everybody has everybody in the table: what follows is about behaviour, not about acquaintance."""

        def strangers():
            known = [node.protocol.routing_table.uid_to_peer_id for node in self.members]
            everybody = {node.node_id for node in self.members} | {self.petald.node_id}
            missing = [everybody - set(table) - {node.node_id} for node, table in zip(self.members, known)]
            count = sum(map(len, missing)) + len(self.members) - self.petald.report("dht")["known_nodes"]
            return None if count == 0 else f"{count} acquaintances are missing"

        for node in self.members:
            await node.find_nearest_nodes([node.node_id])
        await eventually(20, "everybody knows everybody", strangers)

    async def held(self, key):
        """What petald itself holds for the key, asked directly: a value with its expiration, or None."""
        return await asked(self.reader, self.petald.peer_id, key)


async def asked(node, peer_id, key):
    """What a peer answers to rpc_find for one key: a value with its expiration, or None."""
    key_id = DHTID.generate(source=key)
    answer = await node.protocol.call_find(peer_id, [key_id])
    assert answer is not None, f"{peer_id} does not answer rpc_find"
    return answer[key_id][0]


async def eventually(limit, what, look):
    """Looks until `look` returns None; what it returns before tells why it is not so yet."""
    until = time.monotonic() + limit
    while (why := await look() if inspect.iscoroutinefunction(look) else look()) is not None:
        assert time.monotonic() < until, f"not within {limit} s: {what}; last seen: {why}"
        await asyncio.sleep(0.05)


def in_seconds(seconds):
    """An expiration as hivemind gives it: Unix time."""
    return get_dht_time() + seconds


def fresh(name):
    """A key that no other test has."""
    return f"{name}-{next(NUMBERS)}"


@pytest.fixture(scope="session", params=["first", "middle", "last", "only"])
def swarm(request, tmp_path_factory):
    """petald as first, middle and last peer, and as the only full one."""
    stage = Stage(tmp_path_factory.mktemp(request.param), request.session)
    try:
        yield NODES.run(Swarm(stage).begin(request.param, stage.folder))
    finally:
        NODES.run(stage.close())


@pytest.fixture
def stage(request, tmp_path):
    """For a test that needs nodes of its own."""
    stage = Stage(tmp_path, request.session)
    try:
        yield stage
    finally:
        NODES.run(stage.close())
