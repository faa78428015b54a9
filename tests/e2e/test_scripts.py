# SPDX-License-Identifier: Apache-2.0
"""Scripts: where they come from, what runs them, what they say while they run and as they end; and
attempts that go on without a slot."""
import json
import subprocess

import pytest

from conftest import in_outbox, tree_of
from fleet import PATIENCE, until


@pytest.fixture
def one(own):
    """A broker and one executor with a slot and a folder of scripts."""
    own.broker()
    scripts = own.folder / "scripts"
    scripts.mkdir()
    (own.folder / "token").write_text("hunter2")
    (own.folder / "token").chmod(0o600)
    own.executor("worker", 1, PAWL_EXECUTOR__ALLOW__SCRIPT_DIRS=str(scripts),
                 PAWL_EXECUTOR__SECRETS=f"api={own.folder}/token")
    return own


def script(fleet, text, interpreter="sh", **more):
    line = json.dumps({"script": {"interpreter": interpreter, "text": text}, **more})
    return fleet.pawl("task", "submit", "-", input=line).lines[0]


def test_a_task_that_needs_a_version_waits_until_somebody_has_it_and_why_says_so(one):
    near = script(one, "echo ran", "sh")
    one.wait_status(near, "finished")
    far = script(one, "print(1)", "python3>=99")
    other = script(one, "x", "cobol")
    assert one.status(far) == "waiting"
    for id, word in (far, "python3>=99"), (other, "cobol"):
        why = one.pawl("why", id).out
        assert "NO executor has it" in why and word in why, why
    shown = one.pawl("executor", "show", "worker", "-o", "json").json
    versions = shown["interpreters"]
    assert versions["bash"].split(".")[0].isdigit() and "sh" in versions
    fine = script(one, "import sys; print(sys.version)", "python3 >= 3.4")
    one.wait_status(fine, "finished")
    one.pawl("task", "cancel", far, other)


def test_a_file_of_the_folder_runs_with_arguments_input_and_secrets(one):
    path = one.folder / "scripts" / "sync.py"
    path.write_text("import os, sys, json\n"
                    "json.dump({'args': sys.argv[1:], 'in': json.load(sys.stdin),"
                    " 'secret': len(open(os.environ['PAWL_SECRET_API_FILE']).read())},"
                    " open(os.environ['PAWL_OUTPUT'], 'w'))\n")
    id = one.pawl("run", "--script-file", "sync.py", "--interpreter", "python3", "--secret", "api",
                  "--input", '{"n": 1}', "--", "a", "b c").lines[0]
    one.wait_status(id, "finished")
    assert json.loads(one.pawl("task", "output", id).out) == {
        "args": ["a", "b c"], "in": {"n": 1}, "secret": len("hunter2")}
    shown = one.pawl("task", "show", id, "-o", "json")
    assert shown.json["task"]["script"]["file"] == "sync.py" and "hunter2" not in shown.out
    path.write_text("no first line")
    id = one.pawl("run", "--script-file", "sync.py").lines[0]
    one.wait_status(id, "failed")
    assert "not executable" in one.task(id)["message"]
    outside = one.pawl("run", "--script-file", "../token", code=None)
    assert outside.code != 0 and "no .." in outside.err


def test_progress_is_seen_while_the_script_runs(one):
    id = script(one, "echo '::pawl progress 40/100 pages read'; while [ ! -e %s/go ]; do sleep 0.1; done"
                % one.folder)
    until(lambda: one.task(id)["progress"], words="progress")
    assert "pages read" in one.task(id)["progress"]
    (one.folder / "go").touch()
    one.wait_status(id, "finished")
    assert "::pawl progress" in one.pawl("task", "logs", id).out


ASK_AGAIN = {
    "output": "echo '{\"pawl\": {\"again\": \"200ms\", \"state\": {\"page\": 7}, \"message\": \"not yet\"}}' > $PAWL_OUTPUT",
    "line": "echo '::pawl again 200ms not yet'",
    "exit": "echo '::pawl again 200ms not yet'; exit 75",
}


@pytest.mark.parametrize("way", ASK_AGAIN)
def test_a_script_says_ask_again_in_three_ways_and_its_state_comes_back(one, way):
    id = script(one, 'if [ "${PAWL_POLLS:-0}" -ge 2 ]; then cat $PAWL_STATE; exit 0; fi; ' + ASK_AGAIN[way])
    one.wait_status(id, "finished")
    task = one.task(id)
    assert task["attempt"] == 1 and [a["polls"] for a in task["attempts"]] == [2]
    [row] = one.pawl("task", "show", id, "-o", "ndjson").rows
    assert row["attempts"][0]["polls"] == 2
    assert "polls=2" in one.pawl("task", "show", id).out
    if way == "output":
        assert '{"page":7}' in one.pawl("task", "logs", id).out


def test_who_asks_again_for_ever_ends_at_its_bound(one):
    id = script(one, "echo '::pawl again 50ms'", poll={"max_polls": 3})
    one.wait_status(id, "failed")
    task = one.task(id)
    assert "asked 3 times in vain" in task["message"] and task["attempts"][0]["polls"] == 4


def test_each_attempt_tells_how_often_it_was_asked_and_an_external_one_too(one):
    id = script(one, 'test "${PAWL_POLLS:-0}" = 2 && exit 1; echo "::pawl again 50ms"', retry={"max_attempts": 2, "backoff": "50ms"})
    one.wait_status(id, "failed")
    assert [(a["attempt"], a["polls"]) for a in one.task(id)["attempts"]] == [(1, 2), (2, 2)]
    id = script(one, 'test "${PAWL_POLLS:-0}" = 1 && { echo "::pawl external 1h"; exit 0; }; echo "::pawl again 50ms"')
    one.wait_status(id, "external")
    assert one.task(id)["attempts"][0]["polls"] == 1
    one.pawl("task", "cancel", id)
    one.wait_status(id, "cancelled")
    assert one.task(id)["attempts"][0]["polls"] == 1


ACCEPTED = {
    "output": "echo '{\"pawl\": {\"external\": \"1h\", \"message\": \"the bank has it\"}}' > $PAWL_OUTPUT",
    "line": "echo '::pawl external 1h the bank has it'",
    "exit": "exit 79",
}


@pytest.mark.parametrize("way", ACCEPTED)
def test_a_script_says_accepted_in_three_ways_and_another_ends_the_task(one, way):
    id = script(one, f"echo $PAWL_COMPLETION > {one.folder}/token-{way}; " + ACCEPTED[way])
    one.wait_status(id, "external")
    token = (one.folder / f"token-{way}").read_text().strip()
    other = one.pawl("run", "--wait", "--", "true")  # the one slot is free
    assert other.code == 0
    assert "completion token" in one.pawl("why", id).out
    bad = one.pawl("task", "complete", "0" * 64, code=None)
    assert bad.code == 5 and "no completion token" in bad.err
    one.pawl("task", "extend", token, "--by", "2h")
    one.pawl("task", "complete", token, "--result", '{"paid": true}', "--message", "booked")
    task = one.task(id)
    assert task["status"] == "finished" and task["message"] == "booked"
    assert json.loads(one.pawl("task", "output", id).out) == {"paid": True}
    again = one.pawl("task", "complete", token, code=None)
    assert again.code == 4


def test_a_callback_that_is_faster_than_the_report_waits_for_it(one):
    id = script(one, f"echo $PAWL_COMPLETION > {one.folder}/t; mv {one.folder}/t {one.folder}/token-fast; "
                "sleep 1; exit 79")
    until(lambda: (one.folder / "token-fast").exists())
    one.pawl("task", "complete", (one.folder / "token-fast").read_text().strip())
    assert one.status(id) == "finished"


def test_an_external_task_fails_by_its_token_and_outlives_the_broker(one):
    id = script(one, f"echo $PAWL_COMPLETION > {one.folder}/token-dead; exit 79")
    one.wait_status(id, "external")
    [broker] = one.of("broker")
    broker.kill()
    broker.start()
    one.pawl("task", "fail", (one.folder / "token-dead").read_text().strip(), "--permanent",
             "--message", "card refused")
    task = one.task(id)
    assert task["status"] == "failed" and task["message"] == "card refused" and task["reason"] == "permanent"
    id = script(one, "exit 79")
    one.wait_status(id, "external")
    one.pawl("task", "cancel", id)
    assert one.status(id) == "cancelled"


def test_a_script_may_use_pawl_itself_although_its_output_file_has_the_name_of_a_setting(one):
    id = script(one, f"{one.bin}/pawl -b {one.endpoint} task list --limit 1 -o id")
    one.wait_status(id, "finished", "failed")
    assert one.status(id) == "finished" and one.pawl("task", "logs", id).lines == [id]


@pytest.mark.parametrize("ends", ["echo '::pawl again 100ms'", "exit 79", "exit 4", "true"])
def test_what_ended_while_the_broker_was_away_is_told_by_the_next_life_of_the_executor(one, ends):
    [broker], [worker] = one.of("broker"), one.of("executor")
    gate = one.folder / "gate"
    id = script(one, f'[ "${{PAWL_POLLS:-0}}" = 0 ] || exit 0; echo begun; while [ ! -e {gate} ]; do sleep 0.02; done; '
                     f"touch {one.folder}/ended; {ends}")
    until(lambda: "begun" in one.pawl("task", "logs", id).out)
    broker.kill()
    gate.touch()
    until(lambda: (one.folder / "ended").exists() and not tree_of(id))
    until(lambda: in_outbox(one, "worker", id), words="the result in the outbox")
    worker.kill()
    broker.start()
    worker.start()
    wanted = {"exit 79": "external", "exit 4": "failed"}.get(ends, "finished")
    one.wait_status(id, wanted)
    assert one.task(id)["attempt"] == 1


def test_bytes_that_are_no_text_are_kept_as_they_came_and_harm_nothing(one):
    id = script(one, r"printf 'a\000b\377\376c\n'; printf '::pawl progress 1/2 \377\033[31m\n'; "
                r"printf '\377\000\033 last words\n' >&2; exit 3")
    one.wait_status(id, "failed")
    task = one.task(id)
    assert "last words" in task["message"] and task["exit_code"] == 3
    raw = subprocess.run([one.bin / "pawl", "-b", one.endpoint, "task", "logs", id],
                         capture_output=True, timeout=PATIENCE).stdout
    assert b"b\xff\xfec" in raw or b"b??c" in raw, raw
    id = script(one, r"printf '{\"a\": \"\377\"' > $PAWL_OUTPUT")
    one.wait_status(id, "finished")


def test_the_log_of_each_poll_is_there_in_order(one):
    text = """n=${PAWL_POLLS:-0}; [ $n = 1 ] || echo "look $n of $PAWL_ATTEMPT"; [ $n -lt 3 ] || exit 3
              echo '{"pawl": {"again": "0s"}}' > $PAWL_OUTPUT"""
    id = script(one, text, retry={"max_attempts": 2, "backoff": "10ms"})
    one.wait_status(id, "failed")
    def looks(*flags):
        lines = one.pawl("logs", id, "--polls", *flags).out.splitlines()
        assert sum(line.startswith("[asked at ") for line in lines) == 3, lines
        return [line for line in lines if not line.startswith("[")]
    assert looks("--attempt", "1") == ["look 0 of 1", "look 2 of 1", "look 3 of 1"]  # the second wrote nothing
    assert looks() == ["look 0 of 2", "look 2 of 2", "look 3 of 2"]
    assert one.pawl("logs", id).out == "look 3 of 2\n"
