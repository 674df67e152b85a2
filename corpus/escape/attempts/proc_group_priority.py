"""slow somebody outside down: priority and IO class by process group, scheduling policy"""
import ctypes
import os
import struct
import subprocess

from kernel import call, works

STOPS = ["isolate"]


def prepare(bait):
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    bait.keep.append(child)
    bait.context["victim"] = child.pid


def attempt(bait):
    works(os.setpriority, os.PRIO_PGRP, bait.victim, 7)
    works(call, "ioprio_set", 2, bait.victim, 3 << 13)
    works(os.sched_setscheduler, bait.victim, os.SCHED_IDLE, os.sched_param(0))
    attributes = ctypes.create_string_buffer(struct.pack("IIQiIQQQ", 48, 5, 0, 0, 0, 0, 0, 0))
    works(call, "sched_setattr", bait.victim, attributes, 0)
    return "tried"


def escaped(bait):
    victim = bait.context["victim"]
    is_slowed = os.getpriority(os.PRIO_PROCESS, victim) != 0 or os.sched_getscheduler(victim) != 0 or call("ioprio_get", 1, victim) >> 13 == 3
    return is_slowed and "a process outside was slowed down"


def cleanup(bait):
    bait.keep[0].kill()
    bait.keep[0].wait()
