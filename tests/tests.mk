# Tests: one C program a layer (tests/unit/test_*.c, cmocka), then wire, simulation, crash, end to end.
test_libs  = $(call lib,broker scheduler executor client time base schemas)
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/bin/%,$(wildcard tests/unit/test_*.c))

$(BUILD)/bin/test_%: $(BUILD)/tests/unit/test_%.o $(test_libs)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $< $(test_libs) $(call libs_of,$(PKGS) cmocka)

unit: $(unit_tests)
	@for t in $(unit_tests); do echo "== $$t"; timeout 120 $$t || exit 1; done

.PHONY: unit
