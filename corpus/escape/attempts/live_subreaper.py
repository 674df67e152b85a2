"""outlive the command below a process that adopts orphans and ignores every signal"""
import os
import signal

from survivor import become, mark, survivors

STOPS = ["isolate"]

prepare = mark


def attempt(bait):
    if os.fork() == 0:
        import ctypes
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        os.setsid()
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        if os.fork() == 0:
            if os.fork() == 0:
                become(bait)
            os._exit(0)
        become(bait)
    from kernel import until
    until(lambda: sum(b"sleep" in open("/proc/%s/cmdline" % it, "rb").read() for it in os.listdir("/proc") if it.isdigit()) > 1)
    return "started"


def escaped(bait):
    return survivors(bait)
