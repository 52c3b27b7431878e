"""A DNS server that knows one name. It answers the A question for it with its addresses, the AAAA question with
no record, and every other name with NXDOMAIN. Usage: one_name_dns.py LISTEN NAME ADDRESS... (UDP port 53)."""

import socket
import struct
import sys

A, NO_SUCH_NAME, RESPONSE = 1, 3, 0x8180


def read_question(query):
    """The name in the question, the type of the question, and the offset of its end."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    return ".".join(labels).lower(), struct.unpack("!H", query[at + 1 : at + 3])[0], at + 5


def answer(query, name, addresses):
    """The response to a query, as bytes."""
    asked, kind, end = read_question(query)
    known = asked == name
    records = []
    if known and kind == A:
        records = [struct.pack("!HHHIH", 0xC00C, A, 1, 60, 4) + socket.inet_aton(address) for address in addresses]
    flags = RESPONSE if known else RESPONSE | NO_SUCH_NAME
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + query[12:end] + b"".join(records)


def main():
    """Serves until killed."""
    listen, name, *addresses = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listen, 53))
        while True:
            query, client = server.recvfrom(512)
            server.sendto(answer(query, name.lower(), addresses), client)


if __name__ == "__main__":
    main()
