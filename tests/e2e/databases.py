# SPDX-License-Identifier: Apache-2.0
"""Real database servers for the tests: each in a folder and on a port of its own, run by an
unprivileged user (the servers refuse root), ended and removed with the tests."""
import fcntl
import glob
import hashlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from brokers import free_port
from fleet import PATIENCE, until

PASSWORD = "s3cret-never-shown-42"


def unprivileged(wanted):
    """Keyword arguments for Popen, and the owner of the folder."""
    if os.getuid() != 0:
        return {}, None
    for name in (wanted, "nobody"):
        try:
            who = pwd.getpwnam(name)
            return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}, who
        except KeyError:
            continue
    raise RuntimeError(f"neither {wanted} nor nobody exists here")


class Server:
    """Made once and copied from then on: what a new server is like before a test touches it is kept in
    the build folder, one for each version of the server and of this file."""
    driver = user = database = account = None

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-db-"))
        self.identity, owner = unprivileged(self.account)
        if owner:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.port = free_port()
        self.process = None
        self.log = open(self.folder.with_suffix(".log"), "ab")
        self.data = self.folder / "data"
        made = pathlib.Path(os.environ.get("PAWL_BUILD", "build")).resolve() / "databases"
        made.mkdir(parents=True, exist_ok=True)
        words = pathlib.Path(__file__).read_bytes() + self.version().encode()
        kept = made / f"{self.driver}-{hashlib.sha256(words).hexdigest()[:16]}"
        with open(kept.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                new = kept.with_suffix(".new")
                shutil.rmtree(new, ignore_errors=True)
                self.make()
                self.end()
                subprocess.run(["cp", "-a", self.data, new], check=True)
                new.rename(kept)
        if not self.data.exists():
            subprocess.run(["cp", "-a", kept, self.data], check=True)
        self.start()

    def call(self, *command, **more):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=10 * PATIENCE,
                              cwd=self.folder, **self.identity, **more)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def popen(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, cwd=self.folder,
                                        start_new_session=True, **self.identity)
        until(lambda: self.answers() or self.process.poll() is not None, 5 * PATIENCE, 0.1,
              f"{self.driver} answers")
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()[-2000:]

    def kill(self):
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def remove(self):
        """Nothing of it is needed any more: no orderly end."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        self.log.close()
        pathlib.Path(self.log.name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def source(self, password_file, **more):
        return {"driver": self.driver, "host": "127.0.0.1", "port": self.port, "user": self.user,
                "database": self.database, "password_file": str(password_file), **more}


class PostgreSQL(Server):
    driver, user, database, account = "postgresql", "pawl", "app", "postgres"
    stop_signal = signal.SIGINT  # fast shutdown

    bin = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])

    def version(self):
        return subprocess.run([self.bin / "postgres", "--version"], capture_output=True, text=True, check=True).stdout

    def make(self):
        self.call(self.bin / "initdb", "-D", self.data, "-U", "admin", "--auth-local=trust",
                  "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()
        self.ask(f"create role pawl login password '{PASSWORD}'", "postgres")
        self.ask("create database app owner pawl", "postgres")

    def start(self):
        self.popen(self.bin / "postgres", "-D", self.data, "-p", self.port, "-k", self.folder,
                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=40")

    def answers(self):
        return subprocess.run([self.bin / "pg_isready", "-h", self.folder, "-p", str(self.port)],
                              capture_output=True, check=False).returncode == 0

    def ask(self, text, database="app"):
        """Rows as lists of texts, by the server's own client, past the executor."""
        said = self.call(self.bin / "psql", "-h", self.folder, "-p", self.port, "-U", "admin", "-d", database,
                         "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", text)
        return [line.split("\t") for line in said.splitlines()]

    def running(self, words):
        """How many statements with these words run in the server."""
        return int(self.ask("select count(*) from pg_stat_activity where state = 'active' and "
                            f"query like '%{words}%' and pid <> pg_backend_pid()")[0][0])


class MariaDB(Server):
    driver, user, database, account = "mariadb", "pawl", "app", "mysql"
    stop_signal = signal.SIGTERM
    program = shutil.which("mariadbd") or "/usr/sbin/mariadbd"

    @property
    def socket(self):
        return self.folder / "s"

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout

    def make(self):
        self.call("mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
                  "--skip-test-db", f"--tmpdir={self.folder}", "--innodb-log-file-size=8M")
        self.start()
        self.ask("create database app character set utf8mb4", "mysql")
        for host in ("127.0.0.1", "localhost"):
            self.ask(f"create user pawl@'{host}' identified by '{PASSWORD}'", "mysql")
            self.ask(f"grant all on app.* to pawl@'{host}'", "mysql")

    def start(self, *flags):
        self.popen(self.program, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                   f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve", f"--tmpdir={self.folder}",
                   "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=8M",
                   "--max-allowed-packet=1G", f"--pid-file={self.folder}/pid", "--skip-log-bin", *flags)

    def answers(self):
        return subprocess.run(["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "-uroot", "ping"],
                              capture_output=True, check=False).returncode == 0

    def ask(self, text, database="app"):
        said = self.call("mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B", database, "-e", text)
        return [line.split("\t") for line in said.splitlines()]

    def running(self, words):
        return int(self.ask("select count(*) from information_schema.processlist where command in ('Query', 'Execute') "
                            f"and info like '%{words}%' and id <> connection_id()")[0][0])


class Proxy:
    """A TCP proxy before a server. up and down get a connection and the bytes that came, and return
    what goes on; None: both links end."""

    def __init__(self, port):
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def up(self, link, data):
        return data

    def down(self, link, data):
        return data

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            link = {}
            for source, target, change in ((client, server, self.up), (server, client, self.down)):
                threading.Thread(target=self.pump, args=(link, source, target, change), daemon=True).start()

    def pump(self, link, source, target, change):
        try:
            while (data := source.recv(65536)) and (data := change(link, data)) is not None:
                target.sendall(data)
        except OSError:
            pass
        close(source, target)

    def remove(self):
        self.listener.close()


class Cutter(Proxy):
    """cut_at(text): once the client has sent these bytes, nothing of what the server answers comes
    through and both links are broken: at once, and the bytes do not arrive, or (forward) when the
    server has answered, so that it has surely done what they say."""

    def __init__(self, port):
        self.text = None
        self.hits = 0
        self.forward = True
        super().__init__(port)

    def cut_at(self, text, forward=True):
        self.hits, self.forward, self.text = 0, forward, text

    def up(self, link, data):
        text, before = self.text, link.get("before", b"")
        link["before"] = (before + data)[-64:]
        if not text or text not in before[1 - len(text):] + data:  # it may come in two pieces
            return data
        self.text = None
        self.hits += 1
        link["cut"] = True  # before the server gets it: what it says from now on is its answer
        return data if self.forward else None

    def down(self, link, data):
        return None if link.get("cut") else data


class Stripper(Proxy):
    """What somebody on the way would do: makes a MariaDB server look as if it spoke no TLS."""

    def down(self, link, data):
        if link.setdefault("greeted", False):
            return data
        link["greeted"] = True
        at = data.index(b"\0", 5) + 1 + 4 + 8 + 1  # behind version, thread, half a salt and a filler: capabilities
        low = int.from_bytes(data[at:at + 2], "little") & ~0x0800  # CLIENT_SSL
        return data[:at] + low.to_bytes(2, "little") + data[at + 2:]


def close(*sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()
