"""send raw and packet-level frames on the machine's interfaces"""
import socket

STOPS = ["no-network"]
NEEDS = "root"


def attempt(bait):
    opened = []
    for name, words in {"raw": (socket.AF_INET, socket.SOCK_RAW, 1), "raw6": (socket.AF_INET6, socket.SOCK_RAW, 58), "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0x300)}.items():
        try:
            socket.socket(*words).close()
            opened.append(name)
        except OSError:
            pass
    return opened and "opened " + " ".join(opened)
