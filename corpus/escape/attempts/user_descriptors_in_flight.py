"""keep descriptors in flight on sockets until the user may send no more: what passes descriptors outside fails"""
import array
import resource
import socket

STOPS = ["shared"]
NEEDS = "user"


def send(stream, many):
    stream.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * many))])


def attempt(bait):
    kept = [socket.socketpair() for _ in range(30)]
    sent = 0
    for left, _ in kept:
        try:
            for _ in range(4):
                send(left, 200)
                sent += 200
        except OSError:
            break
    bait.wait()
    return "%d in flight" % sent


def meanwhile(bait):
    # A limit such as many programs have; the user's programs share the count, not the limit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    left, right = socket.socketpair()
    try:
        send(left, 1)
    except OSError:
        bait.state["refused"] = True


def escaped(bait):
    return bait.state.get("refused") and "a program of the user can't pass a descriptor"
