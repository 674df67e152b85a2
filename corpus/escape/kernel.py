"""System calls by number and a few loops, for both halves of an attempt. No package but Python's own."""

import ctypes
import os
import platform
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# Numbers of x86-64. From 424 on they are the same on every architecture.
NUMBERS = {
    "shmget": 29, "shmat": 30, "clone": 56, "semget": 64, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "ptrace": 101,
    "syslog": 103, "rt_sigqueueinfo": 129, "modify_ldt": 154, "adjtimex": 159, "io_setup": 206, "mq_open": 240,
    "mq_unlink": 241, "mq_timedsend": 242, "mq_timedreceive": 243, "add_key": 248, "keyctl": 250, "ioprio_set": 251,
    "ioprio_get": 252, "unshare": 272, "fanotify_init": 300, "name_to_handle_at": 303, "clock_adjtime": 305,
    "setns": 308, "kcmp": 312, "sched_setattr": 314, "renameat2": 316, "pidfd_send_signal": 424, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "clone3": 435, "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
    "quotactl_fd": 443,
}


def call(name, *arguments):
    """Makes a system call; raises OSError when it fails."""
    if platform.machine() != "x86_64" and NUMBERS[name] < 424:
        raise NotImplementedError("the number of %s is known for x86-64 only" % name)
    words = [ctypes.c_long(it) if isinstance(it, int) else ctypes.c_void_p() if it is None else it for it in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def until(question, seconds=5.0):
    """Asks until the answer is truthy; None when time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.01)
    return None


def works(step, *arguments):
    """What a step returned, or None when the system refused it."""
    try:
        return step(*arguments)
    except OSError:
        return None


def in_child(step):
    """Runs a step in a child that ends with it; its text, or None when it was refused or killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(step() or "").encode())
        except BaseException:
            pass
        os._exit(0)
    os.close(writer)
    said = b""
    while True:
        part = os.read(reader, 4096)
        if not part:
            break
        said += part
    os.close(reader)
    os.waitpid(child, 0)
    return said.decode() or None
