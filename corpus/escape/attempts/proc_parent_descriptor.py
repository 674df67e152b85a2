"""end the process that started the command with a descriptor that signals its owner"""
import fcntl
import os
import signal
import socket
import struct

STOPS = ["isolate"]
F_SETSIG = 10
F_SETOWN_EX, F_OWNER_PID = 15, 1


def prepare(bait):
    signal.signal(signal.SIGUSR2, lambda *_: bait.heard.add("signal"))


def send(pid, number, by):
    """Lets the arrival of a byte send a signal; 0 is the usual one."""
    here, there = socket.socketpair()
    with here, there:
        by(here, pid)
        if number:
            fcntl.fcntl(here, F_SETSIG, number)
        fcntl.fcntl(here, fcntl.F_SETFL, fcntl.fcntl(here, fcntl.F_GETFL) | os.O_ASYNC)
        there.send(b"x")


def by_number(descriptor, pid):
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, pid)


def by_structure(descriptor, pid):
    fcntl.fcntl(descriptor, F_SETOWN_EX, struct.pack("ii", F_OWNER_PID, pid))


def attempt(bait):
    # Outside a cell the parent is the test itself: it is sent a signal that it takes.
    if os.getppid() != 1:
        send(os.getppid(), signal.SIGUSR2, by_number)
        return "sent"
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    for number in (0, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
        for by in (by_number, by_structure):
            for pid in (1, -1):
                try:
                    send(pid, number, by)
                except OSError:
                    pass
    # The end of PID 1 would end this too, and no verdict would be printed.


def escaped(bait):
    word, _ = bait.process.verdict()
    return ("signal" in bait.heard and "the signal arrived") or (word is None and "PID 1 ended")
