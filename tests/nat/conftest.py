"""petald behind each kind of NAT, found and called by real hivemind nodes outside.

Run by `cargo test --test nat` (main.rs), which sets PETALD (the program under test) and PEER_SOCKETS (a short folder
for p2pd's sockets). The Python nodes live in this process, each with a p2pd of its own in a namespace of its own;
their event loop has a thread of its own. One Internet serves all cases.
"""

import asyncio
import inspect
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "conformance"))

import loopback  # noqa: E402, F401  hivemind without port mapping, before anything starts a node
import pytest  # noqa: E402
import uvloop  # noqa: E402

from world import World  # noqa: E402

CASE_LIMIT = 150.0  # seconds; every case waits for less, and says what it has waited for


class Loop:
    """One event loop in a thread of its own."""

    def __init__(self):
        self.loop = uvloop.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="nodes", daemon=True).start()

    def run(self, coroutine, limit=CASE_LIMIT):
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, limit), self.loop).result()


NODES = Loop()


def end_with(parent):
    """Ends this process and all that it started when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


if "PEER_SOCKETS" in os.environ:
    threading.Thread(target=end_with, args=[os.getppid()], name="parent", daemon=True).start()


def pytest_addoption(parser):
    parser.addoption("--name", action="append", help="only cases whose name contains it; may be given again")


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
    NODES.run(pyfuncitem.obj(**arguments))
    return True


def pytest_sessionfinish(session, exitstatus):
    session.config.verdict = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Ends at once: an interpreter with torch and uvloop in it may crash while it ends, after the last verdict."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(config, "verdict", 1))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.session.petald_failed = True


@pytest.fixture(scope="session")
def world(request, tmp_path_factory):
    world = World(tmp_path_factory.mktemp("nodes"))
    try:
        NODES.run(world.populate())
        yield world
    finally:
        NODES.run(world.close(show=getattr(request.session, "petald_failed", False)))
