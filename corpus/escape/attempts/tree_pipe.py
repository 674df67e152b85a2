"""write to somebody outside through a named pipe in the work tree, in a shown directory"""
import os

STOPS = ["isolate"]


def prepare(bait):
    for name in (bait.ws + "/control", bait.home + "/.cargo/control"):
        os.mkfifo(name)
        os.chmod(name, 0o666)
        bait.keep.append(os.open(name, os.O_RDWR | os.O_NONBLOCK))


def attempt(bait):
    sent = []
    for name in (bait.ws + "/control", bait.home + "/.cargo/control"):
        try:
            os.write(os.open(name, os.O_WRONLY | os.O_NONBLOCK), bait.token.encode())
            sent.append(name)
        except OSError:
            pass
    return sent and "sent by " + " ".join(sent)


def escaped(bait):
    for fd in bait.keep:
        try:
            if bait.token.encode() in os.read(fd, 4096):
                return "the reader outside got it"
        except BlockingIOError:
            pass
