"""take all of the machine's asynchronous IO contexts (fs.aio-max-nr): databases outside can't start"""
import ctypes

from kernel import call

STOPS = ["shared"]


def take(number):
    context = ctypes.c_ulong(0)
    call("io_setup", number, ctypes.byref(context))
    return context


def prepare(bait):
    bait.context["limit"] = int(open("/proc/sys/fs/aio-max-nr").read())


def attempt(bait):
    taken, size = [], bait.limit // 2
    while size and len(taken) < 64:
        try:
            taken.append(take(size))
        except OSError:
            size //= 2
    bait.wait()
    return taken and "took %d contexts" % len(taken)


def meanwhile(bait):
    try:
        take(16)
    except OSError:
        bait.state["refused"] = True


def escaped(bait):
    return bait.state.get("refused") and "a program outside gets none"
