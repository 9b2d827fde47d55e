"""Datagrams that wait while a process forks, read here and there: what each of the processes got, as JSON.

fork_datagrams.py ADDRESS
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import socket
import sys
import termios
from typing import Any

ADDRESS = sys.argv[1]
PLACE = (ADDRESS, 7400)
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET


def do(word: str, kept: socket.socket, epoll: select.epoll) -> Any:
    """One thing with the socket."""
    try:
        if word == "read":
            octets, (host, port, *_) = kept.recvfrom(100)
            return octets.decode(), host, port
        if word == "peek":
            return kept.recv(100, socket.MSG_PEEK).decode()
        if word == "unread":
            there = array.array("i", [0])
            fcntl.ioctl(kept, termios.FIONREAD, there)
            return there[0]
    except BlockingIOError:
        return None
    poll = select.poll()
    poll.register(kept, select.POLLIN)
    return [bool(poll.poll(0)), bool(select.select([kept], [], [], 0)[0]), bool(epoll.poll(0))]


class Child:
    """A forked process that does what it is told."""

    def __init__(self, kept: socket.socket) -> None:
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._here.close()
            with select.epoll() as epoll:
                epoll.register(kept, select.EPOLLIN)
                children: list[Child] = []
                while word := there.recv(100).decode():
                    if word == "fork":
                        children.append(Child(kept))
                    said = children[-1](word[6:]) if word.startswith("child ") else do(word, kept, epoll)
                    there.send(json.dumps(said).encode())
                for each in children:
                    each.end()
            os._exit(0)
        there.close()

    def __call__(self, word: str) -> Any:
        self._here.send(word.encode())
        return json.loads(self._here.recv(1000))

    def end(self) -> None:
        self._here.send(b"")  # the end, as far as the child can tell
        os.waitpid(self.pid, 0)


def main() -> None:
    kept, other = socket.socket(FAMILY, socket.SOCK_DGRAM), socket.socket(FAMILY, socket.SOCK_DGRAM)
    for each, port in ((kept, 7400), (other, 7401)):
        each.setblocking(False)
        each.bind((ADDRESS, port))
    epoll = select.epoll()
    epoll.register(kept, select.EPOLLIN)
    said: list[Any] = []

    def send(*texts: str) -> None:
        for text in texts:
            other.sendto(text.encode(), PLACE)

    def here(word: str) -> Any:
        return do(word, kept, epoll)

    send("first")
    child = Child(kept)  # which leaves its copy alone: socat's child reads it, its parent waits for that
    said += [child("peek"), here("peek"), child("unread"), child("ready"), child("read"), here("ready"), here("unread")]
    said += [here("read"), child("read"), child("ready")]
    send("2", "33", "444", "", "66666", "7")
    one = Child(kept)
    said += [one("read"), here("read"), here("peek"), one("unread"), one("fork"), one("child read"), one("ready")]
    two = Child(kept)
    said += [two("read"), one("read"), here("unread"), two("peek"), here("read"), two("ready"), here("ready")]
    said += [two("read"), one("read"), one("child read"), here("read")]
    send("a", "b")
    three = Child(kept)
    three.end()  # it has read nothing: nothing is lost
    said += [here("read"), here("read"), here("ready")]
    print(json.dumps(said), flush=True)
    for process in (child, one, two):
        process.end()


if __name__ == "__main__":
    main()
