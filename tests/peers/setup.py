"""Sets up the real peers that the tests run against: once, into `.peers/` at the repository's root.

    python3 tests/peers/setup.py

makes `.peers/hivemind`, a virtual environment with hivemind 1.1.12 (the Python DHT and, inside its wheel, the Go
daemon p2pd) and pytest, and `.peers/petals`, one with the record types of petals 2.2.0.post1 on the same hivemind.
The last line on stdout is JSON: where the two interpreters and p2pd are. Progress goes to stderr.

Only Python's standard library is needed to run it. It is idempotent: a stamp holds a digest of what was asked for.
It may be started by several test binaries at once: one works, the others wait.

hivemind imports torch, which is large. An interpreter that can import it is used as it is. Otherwise, as root on
Debian, `apt-get` installs the CPU build (150 MB); otherwise pip does (5 GB with its CUDA libraries).
`PETALD_PEERS_PYTHON` names an interpreter to use instead of looking for one.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = (ROOT / ".peers").resolve()  # a link shares them between working trees

OLDEST, NEWEST = (3, 9), (3, 13)  # the Python versions that every wheel below exists for

# Everything is installed with --no-deps, so that nothing unlisted comes in: hivemind asks for grpcio-tools, which
# only its build uses, and petals asks for all that it needs to run models.
HIVEMIND = """
hivemind==1.1.12
numpy==1.26.4; python_version < "3.13"
numpy==2.2.6; python_version >= "3.13"
scipy==1.11.4; python_version < "3.13"
scipy==1.15.3; python_version >= "3.13"
base58==2.1.1
cffi==1.17.1
ConfigArgParse==1.7.1
cryptography==44.0.3
idna==3.10
morphys==1.0
msgpack==1.1.0
netaddr==1.3.0
packaging==24.2
prefetch_generator==1.0.3
protobuf==5.29.5
py-cid==0.3.0
py-multibase==1.0.3
py-multicodec==0.2.1
py-multihash==0.2.3
pycparser==2.22
python-baseconv==1.2.2
PyYAML==6.0.2
six==1.17.0
sortedcontainers==2.4.0
uvloop==0.21.0
varint==1.0.2
pydantic==2.11.7
pydantic-core==2.33.2
annotated-types==0.7.0
typing-inspection==0.4.1
typing_extensions==4.14.1
pytest==8.3.5
pluggy==1.5.0
iniconfig==2.1.0
exceptiongroup==1.2.2; python_version < "3.11"
tomli==2.2.1; python_version < "3.11"
"""

# petals' own modules need the pydantic of their day (1.10.17 is the first that hivemind 1.1.12 accepts as well);
# the rest they share with the other environment, which a .pth file puts behind this one on the path.
PETALS = """
petals==2.2.0.post1
pydantic==1.10.22
typing_extensions==4.14.1
"""

TORCH = "torch==2.6.0"  # where neither the interpreter nor apt has one

HIVEMIND_CHECK = "import hivemind.dht, hivemind.p2p, pytest; assert hivemind.__version__ == '1.1.12', hivemind.__version__"
PETALS_CHECK = "import petals_modules; petals_modules.load()"


class Missing(Exception):
    """Something that this program cannot provide; the text says what, and what a person can do."""


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def run(*command, env=None):
    """Runs a command with its output on stderr, since stdout carries the answer."""
    say("$ " + " ".join(map(str, command)))
    try:
        subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL, env=env)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Missing(f"`{' '.join(map(str, command))}` ended with {error.returncode}; its output is above") from error


def answers(python, code):
    """What `code` prints in this interpreter, or None if it fails."""
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def interpreters():
    """Interpreters of a version that will do, the system's first: it is the one that apt's torch belongs to."""
    named = os.environ.get("PETALD_PEERS_PYTHON")
    if named:
        candidates = [named]
    else:
        names = ["python3"] + [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
        candidates = ["/usr/bin/python3", sys.executable] + [shutil.which(name) for name in names]
    seen, found = set(), []
    for python in candidates:
        if not python or not os.path.exists(python):
            continue
        version = answers(python, "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)")
        if version is None:
            continue
        major, minor, real = version.split(" ", 2)
        if real not in seen and OLDEST <= (int(major), int(minor)) <= NEWEST:
            seen.add(real)
            found.append(real)
    return found


def can_import(python, module):
    return answers(python, f"import {module}; print(1)") is not None


def choose_interpreter():
    """An interpreter with venv, and whether it has torch."""
    on_debian_as_root = shutil.which("apt-get") and os.geteuid() == 0
    for attempt in range(2):
        found = interpreters()
        for python in found:
            if can_import(python, "torch") and can_import(python, "ensurepip"):
                return python, True
        if attempt == 0 and on_debian_as_root and not os.environ.get("PETALD_PEERS_PYTHON"):
            say("no interpreter has torch: installing Debian's CPU build")
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            try:
                run("apt-get", "update", env=env)
                run("apt-get", "install", "-y", "--no-install-recommends", "python3-torch", "python3-venv", env=env)
            except Missing as error:
                say(f"apt-get could not: {error}")
                break
        else:
            break
    for python in found:
        if can_import(python, "ensurepip"):
            say("no interpreter has torch and apt-get cannot bring it: pip will download about 5 GB")
            return python, False
    raise Missing(
        f"no Python between {OLDEST[0]}.{OLDEST[1]} and {NEWEST[0]}.{NEWEST[1]} with the venv module was found. "
        "On Debian, as root: apt-get install --no-install-recommends python3-torch python3-venv"
    )


def site_packages(venv):
    return Path(answers(venv / "bin/python", "import sysconfig; print(sysconfig.get_path('purelib'))"))


def make_venv(python, venv, requirements, with_deps=()):
    shutil.rmtree(venv, ignore_errors=True)
    run(python, "-m", "venv", "--system-site-packages", venv)
    pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    listing = venv / "requirements.txt"
    listing.write_text(requirements)
    # Whatever has C in it comes as a wheel for every version between OLDEST and NEWEST; varint is pure Python source.
    run(*pip, "--no-deps", "--ignore-installed", "--prefer-binary", "-r", listing)
    if with_deps:
        run(*pip, *with_deps)
    return venv / "bin/python"


def require(python, code, what):
    done = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, cwd=str(Path(__file__).parent), timeout=300
    )
    if done.returncode != 0:
        raise Missing(f"{what} was installed and does not import:\n{done.stderr.strip()}")


def set_up():
    python, has_torch = choose_interpreter()
    say(f"using {python}")
    hivemind = make_venv(python, PEERS / "hivemind", HIVEMIND, () if has_torch else (TORCH,))
    petals = make_venv(python, PEERS / "petals", PETALS)
    (site_packages(PEERS / "petals") / "hivemind.pth").write_text(f"{site_packages(PEERS / 'hivemind')}\n")
    p2pd = site_packages(PEERS / "hivemind") / "hivemind/hivemind_cli/p2pd"
    if not os.access(p2pd, os.X_OK):
        raise Missing(f"hivemind's wheel for this platform has no p2pd ({p2pd})")
    require(hivemind, HIVEMIND_CHECK, "hivemind")
    require(petals, PETALS_CHECK, "petals")
    return {"hivemind": str(hivemind), "petals": str(petals), "p2pd": str(p2pd)}


def stamped(digest):
    """What an earlier run left, if it was asked for the same and is still there."""
    try:
        stamp = json.loads((PEERS / "stamp.json").read_text())
    except (OSError, ValueError):
        return None
    paths = stamp.get("paths", {})
    if stamp.get("digest") == digest and paths and all(os.access(path, os.X_OK) for path in paths.values()):
        return paths
    return None


def main():
    # The whole program and the folder: a venv that was moved does not work.
    digest = hashlib.sha256(Path(__file__).read_bytes() + str(PEERS).encode()).hexdigest()
    PEERS.mkdir(exist_ok=True)
    with open(PEERS / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is setting them up: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        paths = stamped(digest)
        if paths is None:
            started = time.monotonic()
            (PEERS / "stamp.json").unlink(missing_ok=True)
            paths = set_up()
            (PEERS / "stamp.json").write_text(json.dumps({"digest": digest, "paths": paths}))
            say(f"ready after {time.monotonic() - started:.0f} s")
    print(json.dumps(paths))


if __name__ == "__main__":
    try:
        main()
    except Missing as error:
        say(f"the real peers cannot be set up: {error}")
        sys.exit(1)
