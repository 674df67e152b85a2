"""signal the process group of somebody outside, with kill and by owning a descriptor's signals"""
import fcntl
import os
import signal
import socket
import subprocess

STOPS = ["isolate"]


def prepare(bait):
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    bait.keep.append(child)
    bait.context["victim"] = child.pid


def attempt(bait):
    left, right = socket.socketpair()
    for step in (lambda: os.killpg(bait.victim, signal.SIGTERM), lambda: own(left, bait.victim), lambda: own(left, -bait.victim)):
        try:
            step()
            right.send(b"x")
        except OSError:
            pass
    return "tried"


def own(stream, number):
    fcntl.fcntl(stream, fcntl.F_SETOWN, number)
    fcntl.fcntl(stream, 10, signal.SIGTERM)  # F_SETSIG
    fcntl.fcntl(stream, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)


def escaped(bait):
    import time
    time.sleep(0.05)
    return bait.keep[0].poll() is not None and "a process outside was ended"


def cleanup(bait):
    bait.keep[0].kill()
    bait.keep[0].wait()
