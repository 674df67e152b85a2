"""find and signal the processes of another cell of the same user"""
import os
import signal

STOPS = ["isolate"]


def sibling(bait):
    child = os.fork()
    if child == 0:
        os.execv("/bin/sleep", ["sleep", "3%08d.5" % (int(bait.token[:7], 16) % 10**8)])
    bait.wait()
    ended = os.waitpid(child, os.WNOHANG)[0]
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return ended and "ended by another cell"


def attempt(bait):
    mark = b"3%08d.5" % (int(bait.token[:7], 16) % 10**8)
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark in open("/proc/%s/cmdline" % name, "rb").read():
                os.kill(int(name), signal.SIGKILL)
                return "killed"
        except OSError:
            pass


def escaped(bait):
    return bait.other.verdict()[0] == "ESCAPED" and "the other cell's process was ended"
