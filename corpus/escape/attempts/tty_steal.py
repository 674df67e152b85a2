"""take the user's terminal over as a controlling terminal of one's own, and change its settings"""
import fcntl
import os
import termios

STOPS = ["isolate"]


def prepare(bait):
    master, slave = os.openpty()
    bait.keep += [master, slave]
    bait.context["terminal"] = os.ttyname(slave)
    bait.state["before"] = termios.tcgetattr(slave)


def attempt(bait):
    if os.fork() == 0:
        os.setsid()
        terminal = os.open(bait.terminal, os.O_RDWR)
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        settings = termios.tcgetattr(terminal)
        settings[3] ^= termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        os._exit(0)
    os.wait()
    return "tried"


def escaped(bait):
    return termios.tcgetattr(bait.keep[1]) != bait.state["before"] and "the terminal's settings changed"
