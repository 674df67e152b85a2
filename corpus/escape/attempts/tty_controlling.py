"""write to the user's terminal through /dev/tty, past everything that filters the output"""
import fcntl
import os
import termios
import tty

STOPS = ["isolate"]


def process(bait):
    master, slave = os.openpty()
    tty.setraw(slave)
    bait.state["master"] = master
    bait.keep.append(slave)

    def take():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return dict(preexec_fn=take, start_new_session=False)


def attempt(bait):
    with open("/dev/tty", "wb", buffering=0) as terminal:
        terminal.write(("\x1b]0;" + bait.token + "\x07").encode())
    return "written"


def escaped(bait):
    import select
    master = bait.state["master"]
    text = os.read(master, 4096) if select.select([master], [], [], 0)[0] else b""
    return bait.token.encode() in text and "the terminal got it"
