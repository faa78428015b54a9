# SPDX-License-Identifier: Apache-2.0
"""Turns schemas/vectors/ into a corpus for fuzz_wire: one file a vector, its kind in the first byte."""
import json
import pathlib
import sys

KIND = {"Request": b"R", "Reply": b"A", "Push": b"P", "Task": b"T", "Template": b"S"}
vectors = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "vectors"
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for vector in json.loads((vectors / "vectors.json").read_text()):
    raw = bytes.fromhex((vectors / vector["hex"]).read_text())
    (out / vector["name"]).write_bytes(KIND[vector["type"]] + raw)
