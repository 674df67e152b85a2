"""outlive the launcher when it is killed with SIGKILL"""
import os
import signal

from survivor import become, mark, survivors

STOPS = ["isolate"]
MAY_DIE = True


def meanwhile(bait):
    bait.process.popen.kill()

prepare = mark


def attempt(bait):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            become(bait)
        os._exit(0)
    os.wait()
    bait.wait()
    return "started"


def escaped(bait):
    return survivors(bait)
