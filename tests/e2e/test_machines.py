# SPDX-License-Identifier: Apache-2.0
"""Executors on machines of their own: network namespaces joined by virtual cables, TCP with keys.
The namespaces go with the processes that hold them."""
import shutil
import subprocess

import pytest

from conftest import gate, open_gate
from fleet import PATIENCE, until

PORT = 6411


class Machine:
    """A network and host name of its own. `first`: in its user namespace, so that cables can be
    drawn between them without being root."""

    def __init__(self, name, first=None):
        own = ["unshare", "--net", "--uts"] if first else \
            ["unshare", "--user", "--map-root-user", "--net", "--uts"]
        inside = first.enter("--user") if first else []
        self.holder = subprocess.Popen([*inside, *own, "sh", "-c",
                                        f"ip link set lo up && hostname {name} && echo up && exec sleep 3600"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.name = name
        self.up = self.holder.stdout.readline() == "up\n"

    def enter(self, *more):
        spaces = more or ("--user", "--net", "--uts")
        return ["nsenter", "--preserve-credentials", "--target", str(self.holder.pid), *spaces]

    def run(self, *words):
        subprocess.run([*self.enter(), *words], check=True, capture_output=True, timeout=PATIENCE)

    def end(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        self.holder.stderr.close()


def cable(hub, machine, number):
    """hub has 10.99.N.1, machine 10.99.N.2."""
    hub.run("ip", "link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns",
            str(machine.holder.pid))
    for at, device, address in (hub, f"to{number}", 1), (machine, "eth0", 2):
        at.run("ip", "address", "add", f"10.99.{number}.{address}/24", "dev", device)
        at.run("ip", "link", "set", device, "up")


def can_have_machines():
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    machine = Machine("probe")
    machine.end()
    return machine.up


@pytest.fixture
def machines(hasty):
    """Broker on `hub`, executors on `left` and `right`, each over a cable of its own."""
    own = hasty
    hub = Machine("hub")
    made = {"hub": hub, "left": Machine("left", hub), "right": Machine("right", hub)}
    try:
        keys = own.state / "keys"
        broker = own.add("broker", "broker", "--state", own.state, "--tcp", f"tcp://0.0.0.0:{PORT}",
                         start=False)
        broker.argv = [*hub.enter(), *map(str, broker.argv)]
        for number, name in enumerate(("left", "right"), 1):
            cable(hub, made[name], number)
            own.pawl("key", "new", name, "--role", "executor", "--out", own.folder / f"{name}.key",
                     "--keys", keys)
        broker.start()
        for number, name in enumerate(("left", "right"), 1):
            executor = own.add("executor", name, "--broker", f"tcp://10.99.{number}.1:{PORT}", "--name", name,
                               "--slots", 1, "--state", own.folder / name, "--key",
                               own.folder / f"{name}.key", start=False)
            executor.argv = [*made[name].enter(), *map(str, executor.argv)]
            executor.start()
        yield own, made
    finally:
        for program in own.programs:
            if program.alive():
                program.kill()
        for machine in reversed(list(made.values())):
            machine.end()


def over_the_network(own):
    id = own.pawl("run", "--on", "executor=right", "--wait", "--", "hostname").out.split()[0]
    assert own.pawl("task", "logs", id).out.strip() == "right"
    # a host is named as it names itself, or by its address
    id = own.pawl("run", "--on", "host=10.99.1.2", "--wait", "--", "hostname").out.split()[0]
    assert own.task(id)["executor"] == "left"
    shown = own.pawl("executor", "show", "left", "-o", "json").json
    assert shown["host"] == "left" and "10.99.1.2" in shown["addresses"]
    peers = {peer["name"]: peer for peer in own.pawl("peer", "list", "-o", "ndjson").rows}
    assert peers["left"]["principal"] == "left"
    assert peers["left"]["external_ip"] == "10.99.1.2"


def a_cut_cable(own, made):
    id = own.pawl("run", "--", "sh", "-c", f"hostname; {gate(own)}").out.strip()
    first = own.wait_status(id, "running")["executor"]
    device = {"left": "to1", "right": "to2"}[first]
    made["hub"].run("ip", "link", "set", device, "down")
    # it is lost by silence, and runs on the other machine
    until(lambda: (own.task(id)["executor"] or first) != first)
    made["hub"].run("ip", "link", "set", device, "up")
    until(lambda: own.pawl("executor", "show", first, "-o", "json").json["state"] == "ready")
    open_gate(own)
    task = own.wait_status(id, "finished")
    assert task["executor"] != first and task["lost"] == 1
    # the first is back and takes work again
    own.pawl("run", "--on", f"executor={first}", "--wait", "--", "true")


if can_have_machines():  # a machine that allows no namespaces has no such tests, rather than skipped ones
    def test_executors_of_other_machines_take_work_over_tcp_with_keys(machines):
        over_the_network(machines[0])

    def test_a_cut_cable_is_a_lost_executor_whose_task_runs_elsewhere_and_once_on_record(machines):
        a_cut_cable(*machines)
