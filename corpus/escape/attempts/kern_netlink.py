"""open netlink families beyond routes: netfilter, audit, socket listings, device events, generic"""
import socket

STOPS = ["hardening"]


def attempt(bait):
    opened = []
    for number in [*range(1, 23)]:
        try:
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, number).close()
            opened.append(str(number))
        except OSError:
            pass
    return opened and "opened " + " ".join(opened)
