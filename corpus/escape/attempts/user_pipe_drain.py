"""take all pipe memory of the user: pipes outside shrink to a page"""
import fcntl
import os
import resource

STOPS = ["shared"]
NEEDS = "user"


def attempt(bait):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kept, size = [], 1 << 20
    while len(kept) < 512:
        ends = os.pipe()
        kept.append(ends)
        try:
            fcntl.fcntl(ends[0], 1031, size)
        except OSError:
            break
    bait.wait()
    return "took %d pipes" % len(kept)


def meanwhile(bait):
    reader, writer = os.pipe()
    bait.state["size"] = fcntl.fcntl(reader, 1032)
    try:
        fcntl.fcntl(reader, 1031, 1 << 20)
    except OSError:
        bait.state["refused"] = True


def escaped(bait):
    return bait.state.get("refused") and "a pipe outside can't grow, and starts with %d bytes" % bait.state["size"]
