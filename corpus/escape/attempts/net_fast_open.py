"""reach a service outside with data in the first packet (sendto with MSG_FASTOPEN, no connect)"""
import socket

STOPS = ["no-network"]


def prepare(bait):
    server = socket.create_server(("127.0.0.1", 0))
    bait.context["port"] = server.getsockname()[1]
    bait.hear(server, "fast open")


def attempt(bait):
    stream = socket.socket()
    stream.sendto(bait.token.encode(), 0x20000000, ("127.0.0.1", bait.port))
    stream.recv(1)
    return "sent"


def escaped(bait):
    return "fast open" in bait.heard and "the service outside got it"
