"""fill the user's queue of pending signals: timers outside can't be made (bounded: the test lowers its own limit)"""
import os
import resource
import signal
import struct
import ctypes

from kernel import call

STOPS = ["shared"]
# Root's own processes have no limit to meet, and cells of root are another user.
NEEDS = "user"


def queue(number):
    call("rt_sigqueueinfo", os.getpid(), number, ctypes.create_string_buffer(struct.pack("iiiiii", number, 0, -1, 0, os.getpid(), os.getuid()) + bytes(104)))


def prepare(bait):
    # Before there are threads that could take it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [41])


def attempt(bait):
    signal.pthread_sigmask(signal.SIG_BLOCK, [40])
    sent = 0
    try:
        while sent < 1500:
            queue(40)
            sent += 1
    except OSError:
        pass
    bait.wait()
    return "%d wait" % sent


def meanwhile(bait):
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (1000, 1000))
    try:
        queue(41)
    except OSError:
        bait.state["refused"] = True


def escaped(bait):
    return bait.state.get("refused") and "a program of the user can't queue a signal"
