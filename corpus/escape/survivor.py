"""What the attempts to outlive a cell share: a marked process inside, and the search for it outside."""

import os
import signal

from kernel import until


def mark(bait):
    bait.context["mark"] = "3%08d.25" % (int(bait.token[:7], 16) % 10**8)


def become(bait):
    """Turns this process into the marked one."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.execv("/bin/sleep", ["sleep", bait.mark])


def alive(bait):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % name, "rb") as file:
                if file.read().split(b"\0")[:2] == [b"sleep", bait.context["mark"].encode()]:
                    found.append(int(name))
        except OSError:
            pass
    return found


def survivors(bait):
    """Those that are left when the launcher is gone, and a moment for the kernel to clear up has passed."""
    until(lambda: not alive(bait), 1.0)
    left = alive(bait)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left and "left running: %s" % left
