"""reach a server in another cell of the same user: loopback, abstract socket, queue, segment"""
import ctypes
import socket

from kernel import call, libc, works

STOPS = ["isolate"]
PROOF = "other"


def prepare(bait):
    bait.context["text"] = bait.secret("other")
    bait.context["number"] = int(bait.token[:7], 16) + 2
    free = socket.create_server(("127.0.0.1", 0))
    bait.context["port"] = free.getsockname()[1]
    free.close()


def sibling(bait):
    import threading
    servers = [socket.create_server(("127.0.0.1", bait.port)), socket.socket(socket.AF_UNIX)]
    servers[1].bind("\0other-" + bait.token)
    servers[1].listen()

    def serve(server):
        while True:
            server.accept()[0].sendall(bait.text.encode())
    for server in servers:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
    queue = works(call, "msgget", bait.number, 0o1666)
    text = bait.text.encode()
    works(call, "msgsnd", queue, ctypes.create_string_buffer((1).to_bytes(8, "little") + text), len(text), 0)
    bait.wait()
    libc.msgctl(queue, 0, None)
    return "served"


def attempt(bait):
    for family, address in ((socket.AF_INET, ("127.0.0.1", bait.port)), (socket.AF_UNIX, "\0other-" + bait.token)):
        try:
            stream = socket.socket(family)
            stream.connect(address)
            return stream.recv(200).decode()
        except OSError:
            pass
    buffer = ctypes.create_string_buffer(9000)
    many = call("msgrcv", call("msgget", bait.number, 0), buffer, 8000, 0, 0)
    return buffer.raw[8:8 + many].decode()
