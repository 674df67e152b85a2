"""make a device node in the tree or in /tmp"""
import os
import stat

STOPS = ["isolate"]
NEEDS = "root"


def attempt(bait):
    for directory in (bait.ws, "/tmp", "/dev/shm"):
        for kind, number in ((stat.S_IFCHR, os.makedev(1, 1)), (stat.S_IFBLK, os.makedev(8, 0))):
            path = "%s/node-%s" % (directory, bait.token)
            try:
                os.mknod(path, kind | 0o600, number)
                if directory != bait.ws:
                    os.unlink(path)
                return "made in " + directory
            except OSError:
                pass
