"""take all inotify instances of the cells' user: programs in another cell can't watch files"""
import ctypes
import resource

STOPS = ["shared"]
libc = ctypes.CDLL(None, use_errno=True)


def sibling(bait):
    bait.wait()
    return libc.inotify_init1(0) < 0 and "none left"


def attempt(bait):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    taken = 0
    while taken < 8192 and libc.inotify_init1(0) >= 0:
        taken += 1
    bait.wait()
    return "took %d instances" % taken


def meanwhile(bait):
    bait.other.go()
    bait.other.finish()


def escaped(bait):
    return bait.other.verdict()[0] == "ESCAPED" and "the other cell's programs get none"
