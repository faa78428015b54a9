# SPDX-License-Identifier: Apache-2.0
"""Compares schemas/pawl.proto with every released descriptor set in schemas/released/.

Refused: a number that now means another field or enum value, a field whose type, label or oneof
changed, a message, enum, field or value that went away without its number (and name) being reserved.
    check_compat.py                 compares; exit code 1 and one line a finding
    check_compat.py --release 0.1   writes schemas/released/0.1.binpb
"""
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASED = ROOT / "schemas" / "released"


def describe(proto=ROOT / "schemas" / "pawl.proto"):
    """The descriptor set of a .proto file, as protoc sees it."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        subprocess.run(["protoc", f"-I{pathlib.Path(proto).parent}", f"--descriptor_set_out={out.name}",
                        pathlib.Path(proto).name], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())


def messages_of(files):
    found = {}

    def walk(prefix, message):
        name = f"{prefix}.{message.name}"
        found[name] = message
        for inner in message.nested_type:
            walk(name, inner)
    for file in files.file:
        for message in file.message_type:
            walk(file.package, message)
    return found


def enums_of(files):
    found = {f"{file.package}.{e.name}": e for file in files.file for e in file.enum_type}
    for name, message in messages_of(files).items():
        found |= {f"{name}.{e.name}": e for e in message.enum_type}
    return found


def reserved(ranges, number, inclusive):
    return any(r.start <= number and (number <= r.end if inclusive else number < r.end) for r in ranges)


def compare_message(name, old, new):
    fields = {f.number: f for f in new.field}
    for was in old.field:
        now = fields.get(was.number)
        where = f"{name}.{was.name} = {was.number}"
        if now is None:
            if not reserved(new.reserved_range, was.number, False):
                yield f"{where}: removed, but its number is not reserved"
            continue
        if now.name != was.name:
            yield f"{where}: the number is now {now.name}"
        if (now.type, now.type_name) != (was.type, was.type_name):
            yield f"{where}: the type changed"
        if now.label != was.label:
            yield f"{where}: singular became repeated or the other way round"
        in_old = old.oneof_decl[was.oneof_index].name if was.HasField("oneof_index") else ""
        in_new = new.oneof_decl[now.oneof_index].name if now.HasField("oneof_index") else ""
        if in_old != in_new:
            yield f"{where}: moved from oneof {in_old or '(none)'} to {in_new or '(none)'}"


def compare_enum(name, old, new):
    values = {v.number: v.name for v in new.value}
    for was in old.value:
        if was.number not in values:
            if not reserved(new.reserved_range, was.number, True):
                yield f"{name}.{was.name} = {was.number}: removed, but its number is not reserved"
        elif values[was.number] != was.name:
            yield f"{name}.{was.name} = {was.number}: the number is now {values[was.number]}"


def compare(old, new):
    """Every difference that would break a peer built with `old`."""
    for kind, listed, check in (("message", messages_of, compare_message), ("enum", enums_of, compare_enum)):
        now = listed(new)
        for name, was in listed(old).items():
            if name not in now:
                yield f"{kind} {name}: removed"
            else:
                yield from check(name, was, now[name])


def main(argv):
    new = describe()
    if argv[:1] == ["--release"]:
        RELEASED.mkdir(exist_ok=True)
        (RELEASED / f"{argv[1]}.binpb").write_bytes(new.SerializeToString(deterministic=True))
        return 0
    bad = 0
    for path in sorted(RELEASED.glob("*.binpb")):
        old = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        for finding in compare(old, new):
            print(f"{path.name}: {finding}")
            bad = 1
    if not bad:
        print(f"compat: ok ({len(list(RELEASED.glob('*.binpb')))} released)")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
