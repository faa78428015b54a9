# SPDX-License-Identifier: Apache-2.0
"""schemas/vectors/ against Python's protobuf: what the valid frames mean, and that the files, the error
table and the specification agree with one another."""
import json
import re
import subprocess
import sys

import pytest
from google.protobuf import json_format

import messages

FOLDER = messages.ROOT / "schemas" / "vectors"
VECTORS = json.loads((FOLDER / "vectors.json").read_text())
CLASSES = {"Task": "Task", "Template": "Task"}


def frame(vector):
    return bytes.fromhex((FOLDER / vector["hex"]).read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_a_vector_means_what_is_on_record(vector):
    pb = messages.load()
    cls = getattr(pb, CLASSES.get(vector["type"], vector["type"]))
    raw = frame(vector)
    if "error" in vector:
        assert messages.errors()[vector["error"]["name"]] == vector["error"]["number"]
        return
    message = cls.FromString(raw)
    message.DiscardUnknownFields()
    assert json_format.MessageToDict(message, preserving_proto_field_name=True) == vector["meaning"]
    again = json_format.ParseDict(vector["meaning"], cls())
    assert again.SerializeToString(deterministic=True) == bytes.fromhex(vector.get("canonical", raw.hex()))
    if vector["type"] in messages.MAGIC:
        assert raw[:5] == b"\x0d" + messages.MAGIC[vector["type"]].to_bytes(4, "little")


def test_there_are_enough_vectors_and_each_has_its_file():
    names = {v["hex"] for v in VECTORS}
    assert len(VECTORS) >= 60
    assert sum("error" in v for v in VECTORS) >= 30
    assert names == {p.name for p in FOLDER.glob("*.hex")}


def test_each_request_body_has_a_valid_vector():
    pb = messages.load()
    bodies = {f.name for f in pb.Request.DESCRIPTOR.oneofs_by_name["body"].fields}
    seen = {k for v in VECTORS if v["type"] == "Request" and "meaning" in v for k in v["meaning"]}
    assert bodies - seen == set()


def test_the_generator_writes_what_is_in_git():
    run = subprocess.run([sys.executable, "make_vectors.py", "--check"], cwd=messages.ROOT / "tests" / "wire",
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_specification_has_the_error_table():
    table = (messages.ROOT / "schemas" / "errors.tbl.h").read_text()
    rows = re.findall(r'^ERR\((\w+), (\d+), (\w+), (\d+), "([^"]*)"\)', table, re.M)
    text = (messages.ROOT / "schemas" / "README.md").read_text()
    section = text.split("<!-- errors -->")[1].split("<!-- /errors -->")[0]
    wanted = [f"| {number} | {name} | {retry} | {code} | {meaning} |"
              for name, number, retry, code, meaning in rows if int(number) < 100]
    got = [line for line in section.splitlines() if re.match(r"\| \d", line)]
    assert got == wanted


def test_the_specification_names_each_request_and_each_limit():
    text = (messages.ROOT / "schemas" / "README.md").read_text()
    pb = messages.load()
    for field in pb.Request.DESCRIPTOR.oneofs_by_name["body"].fields:
        assert field.message_type.name in text, field.message_type.name
    for name, value in re.findall(r"^    LIMIT_(\w+) = ([^,]+),", (
            messages.ROOT / "schemas" / "limits.h").read_text(), re.M):
        if name in ("MESSAGE", "NAME", "KEY", "LABEL", "LABELS", "ITEMS"):
            shown = f"{eval(value):,}"  # noqa: S307 - our own header
            assert shown in text or f"{eval(value) >> 20} MiB" in text, name


def test_no_message_nests_deeper_than_the_limit():
    def depth(descriptor, above):
        assert descriptor.full_name not in above, "a recursive message"
        below = [depth(f.message_type, above | {descriptor.full_name})
                 for f in descriptor.fields if f.message_type]
        return 1 + max(below, default=0)
    pb = messages.load()
    for name in ("Request", "Reply", "Push", "Task", "Schedule"):
        assert depth(getattr(pb, name).DESCRIPTOR, frozenset()) <= 8
