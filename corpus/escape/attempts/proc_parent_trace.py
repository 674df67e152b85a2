"""take hold of the process that started the command: ptrace, its descriptors, its namespaces"""
import os

from kernel import call

STOPS = ["isolate"]


def attempt(bait):
    parent = os.getppid()
    for number in (0x4206, 16):
        try:
            call("ptrace", number, parent, 0, 0)
            call("ptrace", 17, parent, 0, 0) if number == 16 else None
            return "traced"
        except OSError:
            pass
    try:
        call("pidfd_getfd", call("pidfd_open", parent, 0), 0, 0)
        return "took a descriptor"
    except OSError:
        pass
    try:
        if call("kcmp", os.getpid(), parent, 0, 0, 0) >= 0:
            return "compared files"
    except OSError:
        pass
