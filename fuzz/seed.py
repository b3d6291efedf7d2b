"""Fills the corpora of the fuzz targets with what was recorded from real peers (proto/tests/vectors) and with the
config files of the house."""

import hashlib
import json
import pathlib

FUZZ = pathlib.Path(__file__).parent
HOUSE = FUZZ.parent
VECTORS = HOUSE / "proto/tests/vectors"
FRAMES = [b"\x13/multistream/1.0.0\n", b"\x16DHTProtocol.rpc_ping\n", b"\x03na\n", b"\x0f/ipfs/id/1.0.0\n", b"\x03ls\n"]

HANDLERS = [b"DHTProtocol.rpc_ping", b"DHTProtocol.rpc_store", b"DHTProtocol.rpc_find"]


def seed(target, content):
    folder = FUZZ / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(content).hexdigest()).write_bytes(content)


def texts(value):
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def recorded():
    found = set()
    for file in ["vectors.json", "vectors_server_lifecycle.json", "stream_bytes.json", "rpc_info.json"]:
        for text in texts(json.loads((VECTORS / file).read_text())):
            try:
                found.add(bytes.fromhex(text))
            except ValueError:
                pass
    return sorted(found - {b""}, key=lambda content: (len(content), content))


def main():
    messages = [message for message in recorded() if len(message) <= 4096]
    for message in messages:
        for target in ["unary_stream", "dht_requests", "values", "records"]:
            seed(target, message)
        # A message on a stream has its length before it.
        seed("unary_message", message[1 if message[0] < 0x80 else 2 :])
        seed("stream_frames", bytes([0]) + len(message).to_bytes(8, "big") + message)
        for count in range(3):
            seed("dht_answers", bytes([count]) + message)
    for first in range(0, len(messages), 16):
        steps = [
            bytes([number % 8, number % 5]) + len(message).to_bytes(2, "big") + message
            for number, message in enumerate(messages[first : first + 16])
        ]
        seed("dht_node", b"".join(steps))
    for name in [*HANDLERS, b"DHTProtocol.rpc_unknown", b"/ipfs/id/1.0.0", b"/ipfs/ping/1.0.0"]:
        proposal = bytes([len(name) + 1]) + name + b"\n"
        refused = proposal if name not in HANDLERS else b""
        for message in messages[:: max(1, len(messages) // 16)]:
            # As Go writes it: header, proposal and data at once; after a refusal the next proposal.
            seed("arrival", FRAMES[0] + proposal + message)
            seed("arrival", FRAMES[0] + refused + FRAMES[1] + message)
    for role in range(3):
        for first in range(len(FRAMES)):
            seed("handshake", bytes([role]) + b"".join(FRAMES[:1] + FRAMES[first:]) + b"data")
    for file in sorted((HOUSE / "config").glob("*.toml")):
        seed("config", file.read_bytes())
        seed("config", file.read_bytes() + b"\0network.listen=/ip4/127.0.0.1/tcp/0")
    for name in ["model.12", "0:8"]:
        seed("records", name.encode())
    peer = "12D3KooWCLmQZ4BKSQne7hYU6Md9KjcgWATeD8shnzsR79TZifGW"
    seed("files", json.dumps([{"peer": peer, "addresses": ["/ip4/192.0.2.1/tcp/1"], "last_success": 1.5e9}]).encode())
    said = {"value": 1.5, "source": "admin", "version": 6}
    page = {"version": 7, "dht_prefix": "m", "blocks": "0:8", "throughput": said, "cache_tokens_left": said | {"value": 3}}
    seed("files", json.dumps(page).encode())
    seed("files", b"petald kind 1 da39a3ee5e6b4b0d3255bfef95601890afd80709\n")
    seed("requests", b'{"state": "online", "throughput": 2, "cache_tokens_left": 7, "public_name": "a node"}')
    seed("requests", b'{"throughput": 3, "network_rps": 1.5, "forward_rps": null, "inference_rps": 0.5}')
    for address in [f"/dns4/example.org/tcp/31337/p2p/{peer}", "/ip6/::1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1"]:
        seed("addresses", address.encode())
    seed("addresses", bytes.fromhex("04c0000201060001"))


if __name__ == "__main__":
    main()
