"""start 700 threads in one process (a task limit of 512 must stop it)"""
import threading

STOPS = ["limits"]


def attempt(bait):
    threading.stack_size(65536)
    end = threading.Event()
    started = 0
    try:
        while started < 700:
            threading.Thread(target=end.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    end.set()
    return started == 700 and "700 threads"
