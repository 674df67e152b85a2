"""hold an exclusive lock on a shown file, as cargo's own: the user's programs wait for it"""
import fcntl
import os

STOPS = ["isolate"]


def attempt(bait):
    fd = os.open(bait.shown, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    bait.wait()
    return "locked"


def meanwhile(bait):
    fd = os.open(bait.shown, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        bait.state["blocked"] = True
    os.close(fd)


def escaped(bait):
    return bait.state.get("blocked") and "the user's program waits for a lock held inside"
