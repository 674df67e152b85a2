"""make system calls that nobody needs inside: handles, kernel pointers, clocks, old segments, keys, watches"""
import ctypes
import os

from kernel import call

STOPS = ["hardening"]


def attempt(bait):
    here, buffer = ctypes.c_char_p(b"/"), ctypes.create_string_buffer(256)
    buffer[0:4] = (128).to_bytes(4, "little")
    tries = {
        "name_to_handle_at": (-100, here, buffer, ctypes.create_string_buffer(8), 0),
        "kcmp": (os.getpid(), os.getpid(), 0, 0, 1),
        "adjtimex": (ctypes.create_string_buffer(256),),
        "clock_adjtime": (0, ctypes.create_string_buffer(256)),
        "modify_ldt": (0, ctypes.create_string_buffer(64), 64),
        "add_key": (ctypes.c_char_p(b"user"), ctypes.c_char_p(b"mark"), ctypes.c_char_p(b"x"), 1, -2),
        "keyctl": (0, -3, 0),
        "fanotify_init": (0x200, 0),
        "open_tree": (-100, here, 0),
        "syslog": (10, None, 0),
        "pidfd_getfd": (call("pidfd_open", os.getpid(), 0), 0, 0),
    }
    worked = []
    for name, arguments in tries.items():
        try:
            call(name, *arguments)
            worked.append(name)
        except OSError:
            pass
    return worked and "worked: " + " ".join(worked)
