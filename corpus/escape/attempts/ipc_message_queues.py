"""read from a System V message queue and a POSIX message queue outside"""
import ctypes
import os

from kernel import call, libc

STOPS = ["isolate"]
PROOF = "queue"


def prepare(bait):
    text = bait.secret("queue").encode()
    number = bait.context["number"] = int(bait.token[:7], 16) + 1
    queue = bait.state["queue"] = call("msgget", number, 0o1666)
    call("msgsnd", queue, ctypes.create_string_buffer((1).to_bytes(8, "little") + text), len(text), 0)
    name = ctypes.c_char_p(b"escape-" + bait.token.encode())
    posix = call("mq_open", name, os.O_CREAT | os.O_RDWR, 0o666, None)
    call("mq_timedsend", posix, ctypes.c_char_p(text), len(text), 0, None)
    os.close(posix)


def attempt(bait):
    buffer = ctypes.create_string_buffer(9000)
    try:
        many = call("msgrcv", call("msgget", bait.number, 0), buffer, 8000, 0, 0)
        return buffer.raw[8:8 + many].decode()
    except OSError:
        pass
    many = call("mq_timedreceive", call("mq_open", ctypes.c_char_p(b"escape-" + bait.token.encode()), os.O_RDONLY, 0, None), buffer, 9000, None, None)
    return buffer.raw[:many].decode()


def cleanup(bait):
    libc.msgctl(bait.state["queue"], 0, None)
    call("mq_unlink", ctypes.c_char_p(b"escape-" + bait.token.encode()))
