"""end, stop or disturb the process that started the command with every signal there is"""
import os
import signal

STOPS = ["isolate"]


def prepare(bait):
    signal.signal(signal.SIGUSR2, lambda *_: bait.heard.add("signal"))


def attempt(bait):
    # Outside a cell the parent is the test itself: it is sent a signal that it takes.
    if os.getppid() != 1:
        os.kill(os.getppid(), signal.SIGUSR2)
        return "sent"
    for number in range(1, 65):
        try:
            os.kill(1, number)
        except OSError:
            pass
    # The end of PID 1 would end this too, and no verdict would be printed.


def escaped(bait):
    word, _ = bait.process.verdict()
    return ("signal" in bait.heard and "the signal arrived") or (word is None and "PID 1 ended")
