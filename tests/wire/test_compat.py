# SPDX-License-Identifier: Apache-2.0
"""The schema keeps what was released, and the comparison notices what would break a peer."""
import check_compat
import pytest
from google.protobuf import descriptor_pb2


def changed(change):
    new = check_compat.describe()
    change(check_compat.messages_of(new), check_compat.enums_of(new))
    return list(check_compat.compare(check_compat.describe(), new))


def test_the_schema_is_compatible_with_every_release():
    released = sorted(check_compat.RELEASED.glob("*.binpb"))
    assert released
    new = check_compat.describe()
    for path in released:
        old = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        assert list(check_compat.compare(old, new)) == []


def set_field(message, number, /, **parts):
    def change(found, _):
        field = next(f for f in found[f"pawl.v1.{message}"].field if f.number == number)
        for key, value in parts.items():
            setattr(field, key, value)
    return change


def remove_field(found, _):
    del found["pawl.v1.Task"].field[3]


def rename_value(_, found):
    found["pawl.v1.Role"].value[1].name = "ROLE_OTHER"


@pytest.mark.parametrize("change, word", [
    (set_field("Task", 2, name="kind"), "the number is now kind"),
    (set_field("Task", 2, type=12), "the type changed"),
    (set_field("Task", 2, label=3), "repeated"),
    (set_field("Error", 1, number=9), "not reserved"),
    (remove_field, "not reserved"),
    (rename_value, "the number is now ROLE_OTHER"),
])
def test_a_breaking_change_is_found(change, word):
    findings = changed(change)
    assert len(findings) == 1 and word in findings[0]


def test_a_new_field_breaks_nothing():
    def change(found, _):
        found["pawl.v1.Bye"].field.add(name="later", number=1, type=4, label=1)
    assert changed(change) == []
