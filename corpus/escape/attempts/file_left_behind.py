"""leave things behind on the machine: files in temporary places, queues, segments"""
import ctypes
import os

from kernel import call, works

STOPS = ["isolate"]


def prepare(bait):
    bait.context["number"] = int(bait.token[:7], 16) + 1


def attempt(bait):
    for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock"):
        works(lambda: open("%s/left-%s" % (directory, bait.token), "w").close())
    works(call, "shmget", bait.number, 4096, 0o1600)
    works(call, "semget", bait.number, 1, 0o1600)
    works(call, "mq_open", ctypes.c_char_p(b"left-" + bait.token.encode()), os.O_CREAT | os.O_RDWR, 0o600, None)
    return "done"


def found(bait):
    names = ["%s/left-%s" % (it, bait.token) for it in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock")]
    files = [name for name in names if os.path.exists(name)]
    for name in files:
        os.unlink(name)
    segment = works(call, "shmget", bait.context["number"], 0, 0)
    if segment is not None:
        ctypes.CDLL(None).shmctl(segment, 0, None)
        files.append("a segment")
    semaphores = works(call, "semget", bait.context["number"], 0, 0)
    if semaphores is not None:
        ctypes.CDLL(None).semctl(semaphores, 0, 0)
        files.append("a semaphore")
    if works(call, "mq_unlink", ctypes.c_char_p(b"left-" + bait.token.encode())) is not None:
        files.append("a queue")
    return files


def escaped(bait):
    left = found(bait)
    return left and "left: " + " ".join(left)
