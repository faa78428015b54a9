# SPDX-License-Identifier: Apache-2.0
"""A peer of Pawl in Python, made from schemas/README.md with python3-zmq and the generated messages
alone. It is the proof that the specification suffices; it is no client library.

Blocking, one thread, one session a Peer. Times in seconds.
"""
import os
import time

import zmq

import messages

pb = messages.load()
PATIENCE = 60.0  # a deadline that no slow machine meets by its slowness


class Refused(Exception):
    """A Reply with an error."""

    def __init__(self, error):
        super().__init__(f"{error.code} {error.field}: {error.text}")
        self.code, self.field, self.text = error.code, error.field, error.text
        self.retry_after_us = error.retry_after_us


class Silence(Exception):
    """Nothing came in time."""


def new_id():
    """A ULID: 48 bits of milliseconds, 80 random bits."""
    return int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)


class Wire:
    """A connection without a session: frames out, frames in."""

    def __init__(self, endpoint):
        self.socket = self.new_socket()
        self.socket.connect(endpoint)

    @staticmethod
    def new_socket(**options):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        for name, value in {"linger": 0, "immediate": 1, **options}.items():
            setattr(socket, name, value)
        return socket

    def close(self):
        self.socket.close()

    def send(self, *frames):
        self.socket.send_multipart(frames)

    def receive(self, timeout=PATIENCE):
        """The next frame; Silence when none comes."""
        if not self.socket.poll(max(0, int(timeout * 1000))):
            raise Silence()
        frames = self.socket.recv_multipart()
        assert len(frames) == 1, "one message is one frame"
        return frames[0]

    def quiet(self, timeout=0.3):
        """True when nothing comes for so long."""
        return not self.socket.poll(int(timeout * 1000))


class Peer(Wire):
    """A session. Pushes that come meanwhile are kept in `pushes`; Assigns are counted. `patience`: how
    long an answer is waited for, where nothing else is said."""
    patience = PATIENCE

    def __init__(self, endpoint, name, role=pb.ROLE_CLIENT, incarnation=None, **hello):
        super().__init__(endpoint)
        self.incarnation = incarnation or os.urandom(16)
        self.session, self.seq, self.assign_seen = b"", 0, 0
        self.pushes, self.directives, self.repeated = [], [], False
        self.hello = pb.Hello(minor=1, role=role, name=name, incarnation=self.incarnation,
                              pid=os.getpid(), software="pawl_wire.py", **hello)
        self.welcome = None

    def open(self):
        """Hello and Welcome; again after a loss."""
        self.session, self.assign_seen = b"", 0
        self.welcome = self.ask("hello", self.hello).welcome
        self.session = self.welcome.session
        return self

    def pack(self, body, message=None, request_id=b""):
        """The next Request as bytes."""
        self.seq += 1
        request = pb.Request(magic=messages.MAGIC["Request"], seq=self.seq, session=self.session,
                             request_id=request_id, assign_seen=self.assign_seen)
        getattr(request, body).SetInParent()
        if message is not None:
            getattr(request, body).CopyFrom(message)
        return request.SerializeToString()

    def take(self, timeout=None):
        """The next Reply; pushes are put aside."""
        end = time.monotonic() + (self.patience if timeout is None else timeout)
        while True:
            frame = self.receive(end - time.monotonic())
            if frame[:5] == b"\x0dPWP1":
                self.keep_push(pb.Push.FromString(frame))
                continue
            assert frame[:5] == b"\x0dPWR1"
            reply = pb.Reply.FromString(frame)
            self.directives.extend(reply.directives)
            return reply

    def keep_push(self, push):
        if push.HasField("assign"):
            if push.assign.number != self.assign_seen + 1:
                return  # a gap: the broker will send the leases again
            self.assign_seen = push.assign.number
        self.pushes.append(push)

    def answer(self, seq, timeout=None):
        """The Reply to `seq`, or Refused."""
        while True:
            reply = self.take(timeout)
            if reply.seq == seq:
                break
        self.repeated = reply.repeated_reply
        if reply.HasField("error"):
            raise Refused(reply.error)
        return reply

    def ask(self, body, message=None, request_id=b"", timeout=None):
        self.send(self.pack(body, message, request_id))
        return self.answer(self.seq, timeout)

    def change(self, body, message, request_id=None):
        """A request whose reply is remembered."""
        return self.ask(body, message, request_id or os.urandom(16)).changed

    def leases(self, timeout=None):
        """Leases that were assigned; waits for the first."""
        end = time.monotonic() + (self.patience if timeout is None else timeout)
        while True:
            found = [lease for push in self.pushes if push.HasField("assign") for lease in push.assign.leases]
            self.pushes = [push for push in self.pushes if not push.HasField("assign")]
            if found:
                return found
            frame = self.receive(end - time.monotonic())
            if frame[:5] == b"\x0dPWP1":
                self.keep_push(pb.Push.FromString(frame))
