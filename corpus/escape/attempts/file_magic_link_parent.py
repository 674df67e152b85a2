"""leave the work tree by `..` from directories opened before, from /proc/self/cwd and from mount points"""
import os

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    up = "../" * 40
    fds = [os.open(it, os.O_RDONLY) for it in (bait.ws, bait.ws + "/.git", "/tmp", "/proc/self", "/dev")]
    ways = ["/proc/self/cwd/../out", "/proc/self/root" + bait.out, "/proc/thread-self/root" + bait.out, bait.ws + "/.git/../../out"]
    ways += ["/proc/self/fd/%d/%s%s" % (fd, up, bait.out) for fd in fds]
    for way in ways:
        try:
            with open(way + "/canary.txt", "w") as file:
                file.write("PWNED\n")
            return "written through " + way
        except OSError:
            pass


def escaped(bait):
    return open(bait.canary).read() != "ORIGINAL\n" and "a file outside changed"
