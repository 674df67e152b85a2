"""take all inotify instances of the user: editors and watchers outside fail"""
import ctypes
import resource

STOPS = ["shared"]
NEEDS = "user"
libc = ctypes.CDLL(None, use_errno=True)


def attempt(bait):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    taken = 0
    while taken < 8192 and libc.inotify_init1(0) >= 0:
        taken += 1
    bait.wait()
    return "took %d instances" % taken


def meanwhile(bait):
    bait.state["refused"] = libc.inotify_init1(0) < 0


def escaped(bait):
    return bait.state.get("refused") and "a program of the user gets none"
