# SPDX-License-Identifier: Apache-2.0
"""What a benchmark in Python stands on: the fleet of ops/demo and the peer of tests/wire can be imported after it,
and a folder on real disk."""
import contextlib
import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ops" / "demo"), str(ROOT / "tests" / "wire")]
sys.dont_write_bytecode = True


@contextlib.contextmanager
def folder_beside(binary, mark):
    """Beside the build, and gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{mark}-", dir=binary.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
