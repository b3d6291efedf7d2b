"""A DNS server over UDP for a table that the test can change: A, AAAA and TXT records (RFC 1035, RFC 3596).

Whoever is not in the table does not exist (NXDOMAIN); a name without a record of the wanted type has no data.
"""

import asyncio
import socket
import struct

PORT = 53
TTL = 1  # seconds: a change is seen by the next dial
TYPES = {1: "A", 16: "TXT", 28: "AAAA"}
IN = 1
RESPONSE, AUTHORITATIVE, RECURSION = 0x8000, 0x0400, 0x0180  # recursion: desired and available, as stub resolvers expect
NO_SUCH_NAME = 3


def question(query):
    """The name, in lower case, the number of the type, and the bytes of a query's first question."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    kind, _ = struct.unpack("!HH", query[at + 1 : at + 5])
    return ".".join(labels).lower(), kind, query[12 : at + 5]


def data(kind, value):
    """A record's data."""
    if kind == "TXT":
        text = value.encode()
        return bytes([len(text)]) + text
    return socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)


class NameServer(asyncio.DatagramProtocol):
    def __init__(self):
        self.records = {}  # name → type → values
        self.asked = []  # names, in the order of the queries

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, client):
        name, number, asked = question(query)
        self.asked.append(name)
        kind = TYPES.get(number)
        values = self.records.get(name, {}).get(kind, [])
        code = 0 if name in self.records else NO_SUCH_NAME
        flags = RESPONSE | AUTHORITATIVE | RECURSION | code
        answer = query[:2] + struct.pack("!HHHHH", flags, 1, len(values), 0, 0) + asked
        for value in values:
            content = data(kind, value)
            # 0xC00C: the name is the question's.
            answer += struct.pack("!HHHIH", 0xC00C, number, IN, TTL, len(content)) + content
        self.transport.sendto(answer, client)
