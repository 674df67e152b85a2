"""talk to an abstract socket outside (sequenced packets) and steal its name"""
import socket

STOPS = ["isolate"]


def prepare(bait):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind("\0escape-" + bait.token)
    server.listen()
    bait.hear(server, "abstract")


def attempt(bait):
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stream.connect("\0escape-" + bait.token)
    stream.send(bait.token.encode())
    try:
        stream.recv(1)
    except OSError:
        pass
    return "sent"


def escaped(bait):
    return "abstract" in bait.heard and "the socket outside got it"
