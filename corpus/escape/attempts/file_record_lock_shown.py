"""hold a read lock (fcntl) on a shown file: databases of the user can't write"""
import fcntl
import os

STOPS = ["isolate"]


def attempt(bait):
    fd = os.open(bait.shown, os.O_RDONLY)
    fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    bait.wait()
    return "locked"


def meanwhile(bait):
    fd = os.open(bait.shown, os.O_RDWR)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        bait.state["blocked"] = True
    os.close(fd)


def escaped(bait):
    return bait.state.get("blocked") and "the user's program waits for a lock held inside"
