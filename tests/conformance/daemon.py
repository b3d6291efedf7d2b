"""petald as a process that Python starts: its config, its admin API, its end."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from hivemind.dht import DHTID
from hivemind.p2p import PeerID

START_LIMIT = 20.0  # seconds from start to a listening address; a debug build on a loaded machine
STOP_LIMIT = 20.0  # a drain confirms OFFLINE at every replica
LOOK_AGAIN = 0.02  # seconds between two looks at what cannot be waited for

# The least that a node needs, whatever a test adds; probes often, since the status is as old as the last probe.
BASE = {
    "network.listen": ["/ip4/127.0.0.1/tcp/0"],
    "network.private_addresses": True,
    "network.swarm": "seed",
    "admin.listen": "127.0.0.1:0",
    "supervisor.probe_period": "200ms",
}

MODEL = {
    "model.dht_prefix": "conformance",
    "model.num_blocks": 2,
    "server.blocks": "0:2",
    "server.state": "online",
    "server.torch_dtype": "float16",
    "server.quant_type": "none",
    "announce.period": "2s",
    "announce.ttl": "60s",
}

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def program():
    """The petald under test: PETALD in the environment, which the Rust side sets."""
    return os.environ["PETALD"]


def write_config(path, settings):
    sections = {}
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    text = "".join(f"[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items())
    path.write_text(text)


class Petald:
    """Starts at once; `ready` waits until it listens, and each of its actors has told of itself."""

    def __init__(self, folder, initial_peers=(), **settings):
        """`settings` are config keys with a double underscore for the dot."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.configure(initial_peers, **settings)
        self.start()

    def configure(self, initial_peers=(), **settings):
        options = {"node.data_dir": str(self.folder / "data"), **BASE}
        if initial_peers:
            options.update({"network.swarm": "join", "network.initial_peers": [str(peer) for peer in initial_peers]})
        options.update({key.replace("__", "."): value for key, value in settings.items()})
        write_config(self.folder / "petald.toml", options)

    def start(self):
        (self.folder / "data/admin.addr").unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PETALD__")}
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(
                [program(), "run", "--config", str(self.folder / "petald.toml")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )

    def ready(self, limit=START_LIMIT):
        until = time.monotonic() + limit
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"petald ended with {self.process.returncode}:\n{self.output()}")
            try:
                node = self.status()
                if node["listen"] and all(node["reports"].get(actor["name"]) for actor in node["actors"]):
                    break
            except (OSError, KeyError, ValueError):
                pass  # not up yet
            if time.monotonic() > until:
                raise TimeoutError(f"petald does not listen after {limit} s:\n{self.output()}")
            time.sleep(LOOK_AGAIN)
        self.addresses = node["listen"]
        self.peer_id = PeerID.from_base58(node["peer_id"])
        self.node_id = DHTID.from_bytes(bytes.fromhex(node["reports"]["dht"]["node_id"]))
        return self

    def request(self, path, method="GET"):
        address = (self.folder / "data/admin.addr").read_text().strip()
        request = urllib.request.Request(f"http://{address}{path}", method=method)
        with NO_PROXY.open(request, timeout=5) as answer:
            return json.load(answer)

    def status(self):
        """`GET /api/v1/node`."""
        return self.request("/api/v1/node")

    def report(self, actor):
        """What the actor told at its last probe, 0.2 s ago at most."""
        return self.status()["reports"][actor]

    def resident(self):
        """Bytes of its memory that are resident now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def output(self):
        return (self.folder / "output").read_text(errors="replace")[-4000:]

    def kill(self):
        """As a crash of its machine."""
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def terminate(self):
        """SIGTERM, and the exit code of the drain."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_LIMIT)

    def close(self, show=False):
        if self.process.poll() is None:
            self.kill()
        if show:
            print(f"--- {self.folder.name} said ---\n{self.output()}", file=sys.stderr)


def start_many(folder, count, initial_peers=(), **settings):
    """As many nodes as asked for, started together."""
    nodes = [Petald(Path(folder) / f"petald-{number}", initial_peers, **settings) for number in range(count)]
    return [node.ready() for node in nodes]
