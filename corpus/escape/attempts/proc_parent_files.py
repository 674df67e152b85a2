"""read the memory, environment, descriptors and files of the process that started the command"""
import os

STOPS = ["isolate"]


def attempt(bait):
    parent = "/proc/%d/" % os.getppid()
    opened = []
    for name in ("mem", "environ", "auxv", "syscall", "stack", "maps", "io", "personality", "wchan", "clear_refs"):
        try:
            with open(parent + name, "rb") as file:
                if name in ("mem", "clear_refs") or file.read(64).strip(b"0"):
                    opened.append(name)
        except OSError:
            pass
    for name in ("fd", "map_files", "cwd", "root", "task/%d/fd" % os.getppid()):
        try:
            if os.listdir(parent + name):
                opened.append(name)
        except OSError:
            pass
    return opened and "opened " + " ".join(opened)
