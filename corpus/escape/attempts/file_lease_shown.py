"""take a lease on a shown file: whoever opens it for writing outside waits up to 45 s"""
import fcntl
import os
import signal

STOPS = ["isolate"]


def attempt(bait):
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(bait.shown, os.O_RDONLY)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    bait.wait()
    return "leased"


def meanwhile(bait):
    try:
        os.close(os.open(bait.shown, os.O_WRONLY | os.O_NONBLOCK))
    except BlockingIOError:
        bait.state["blocked"] = True


def escaped(bait):
    return bait.state.get("blocked") and "the user's program waits for a lease held inside"
