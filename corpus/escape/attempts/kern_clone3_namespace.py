"""make a user namespace by clone3(2), whose flags a filter can't see"""
import ctypes
import os
import struct

from kernel import call

STOPS = ["hardening"]


def attempt(bait):
    arguments = ctypes.create_string_buffer(struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0))
    before = os.readlink("/proc/self/ns/user")
    child = call("clone3", arguments, 64)
    if child == 0:
        os._exit(0 if os.readlink("/proc/self/ns/user") != before else 1)
    _, status = os.waitpid(child, 0)
    return status == 0 and "in a new user namespace"
