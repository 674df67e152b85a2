"""reach a service outside by multipath TCP, which filters on TCP don't see"""
import socket

STOPS = ["no-network"]


def prepare(bait):
    server = socket.create_server(("127.0.0.1", 0))
    bait.context["port"] = server.getsockname()[1]
    bait.hear(server, "multipath")


def attempt(bait):
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    stream.connect(("127.0.0.1", bait.port))
    stream.sendall(bait.token.encode())
    stream.recv(1)
    return "sent"


def escaped(bait):
    return "multipath" in bait.heard and "the service outside got it"
