"""make a user namespace by clone(2), and mount with fsopen, open_tree and move_mount"""
import ctypes
import os

from kernel import call

STOPS = ["hardening"]


def attempt(bait):
    child = call("clone", 0x10000000 | 0x00020000 | 17, 0, 0, 0, 0)
    if child == 0:
        got = 1
        try:
            call("fsopen", ctypes.c_char_p(b"tmpfs"), 0)
            got = 0
        except OSError:
            pass
        os._exit(got)
    _, status = os.waitpid(child, 0)
    return status == 0 and "a file system was opened"
