# SPDX-License-Identifier: Apache-2.0
"""The messages of schemas/pawl.proto as Python classes, made by protoc when they are first asked for."""
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAGIC = {"Request": 0x314C5750, "Reply": 0x31525750, "Push": 0x31505750}


def load():
    """The generated module. PAWL_BUILD names the build folder (default: a temporary one)."""
    if "pawl_pb2" in sys.modules:
        return sys.modules["pawl_pb2"]
    schema = ROOT / "schemas" / "pawl.proto"
    build = os.environ.get("PAWL_BUILD")
    out = pathlib.Path(build).resolve() / "gen" / "python" if build else pathlib.Path(
        tempfile.mkdtemp(prefix="pawl-pb-"))
    out.mkdir(parents=True, exist_ok=True)
    made = out / "pawl_pb2.py"
    if not made.exists() or made.stat().st_mtime < schema.stat().st_mtime:
        with tempfile.TemporaryDirectory(dir=out) as fresh:  # others may be reading it
            subprocess.run(["protoc", f"-I{schema.parent}", f"--python_out={fresh}", schema.name], check=True)
            (pathlib.Path(fresh) / made.name).replace(made)
    sys.path.insert(0, str(out))
    return importlib.import_module("pawl_pb2")


def errors():
    """The error table: name -> number."""
    import re
    text = (ROOT / "schemas" / "errors.tbl.h").read_text()
    return {name: int(number) for name, number in re.findall(r"^ERR\((\w+), (\d+),", text, re.M)}
