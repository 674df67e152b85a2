"""outlive the command as a stopped process"""
import os
import signal

from survivor import become, mark, survivors

STOPS = ["isolate"]

prepare = mark


def attempt(bait):
    child = os.fork()
    if child == 0:
        os.setsid()
        become(bait)
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    # Stopped before it became what is looked for: let it get there, and stop it again.
    os.kill(child, signal.SIGCONT)
    from kernel import until
    until(lambda: b"sleep" in open("/proc/%d/cmdline" % child, "rb").read())
    os.kill(child, signal.SIGSTOP)
    return "stopped"


def escaped(bait):
    return survivors(bait)
