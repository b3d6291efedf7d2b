"""petals' record types and DHT functions, imported without the rest of petals.

`petals/__init__.py` imports everything that runs models (transformers, peft, bitsandbytes, …). A reader of the swarm
needs a few of its modules, which import only pydantic and hivemind: they are loaded from the installed package, as
they are, under a parent whose `__init__` is left out.
"""

import importlib
import importlib.util
import sys
import types

import hivemind
from hivemind.p2p import PeerID


def load():
    """Returns (petals.data_structures, petals.utils.dht)."""
    prepare()
    return importlib.import_module("petals.data_structures"), importlib.import_module("petals.utils.dht")


def load_reachability():
    """Returns petals.server.reachability."""
    prepare()
    if importlib.util.find_spec("requests") is None:
        sys.modules["requests"] = types.ModuleType("requests")  # only asks the health monitor's web page
    return importlib.import_module("petals.server.reachability")


def prepare():
    if "petals" not in sys.modules:
        hivemind.PeerID = PeerID  # petals was written for a hivemind that had it at its top level
        folder = importlib.util.find_spec("petals").submodule_search_locations[0]
        for name, path in [("petals", folder), ("petals.utils", f"{folder}/utils"), ("petals.server", f"{folder}/server")]:
            package = types.ModuleType(name)
            package.__path__ = [path]
            sys.modules[name] = package
