"""outlive the command as a process that another one traces and holds"""
import os
import signal

from survivor import become, mark, survivors

STOPS = ["isolate"]

prepare = mark


def attempt(bait):
    from kernel import call, until
    child = os.fork()
    if child == 0:
        os.setsid()
        become(bait)
    until(lambda: b"sleep" in open("/proc/%d/cmdline" % child, "rb").read())
    tracer = os.fork()
    if tracer == 0:
        os.setsid()
        call("ptrace", 0x4206, child, 0, 1)
        call("ptrace", 0x4207, child, 0, 0)
        # Ends with what it holds.
        while os.waitpid(child, 0)[1] & 0x7f == 0x7f:
            pass
        os._exit(0)
    until(lambda: "TracerPid:\t0" not in open("/proc/%d/status" % child).read(), 1)
    return "held"


def escaped(bait):
    return survivors(bait)
