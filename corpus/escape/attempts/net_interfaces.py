"""see the machine's interfaces, routes, neighbours and connections"""
import socket

STOPS = ["no-network"]


def prepare(bait):
    server = socket.create_server(("127.0.0.1", 0))
    bait.keep.append(server)
    bait.context["port"] = server.getsockname()[1]


def attempt(bait):
    with open("/proc/net/tcp") as file:
        if ":%04X " % bait.port in file.read():
            return "the service's port is listed"
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    return others and "interfaces: " + " ".join(others)
