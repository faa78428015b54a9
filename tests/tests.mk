# Tests, in the order to read a red run: unit (one cmocka program a file, tests/unit/MODULE/test_X.c,
# linked with what MODULE may link), wire, store, simulation, crash, end to end.
libs_schemas   := schemas
libs_base      := base schemas
libs_time      := time base schemas
libs_client    := client base schemas
libs_cli       := cli client time base schemas
libs_broker    := simstore broker time base schemas
libs_scheduler := scheduler client time base schemas
libs_executor  := executor client base schemas
# The store in memory (tests/sim/memstore.h): for unit tests of the broker and for the simulator.
$(BUILD)/lib/simstore.a: $(BUILD)/tests/sim/memstore.o
test_modules   := schemas base time client cli broker scheduler executor

define unit_module
unit_$(1) := $$(patsubst tests/unit/$(1)/%.c,$$(BUILD)/bin/$(1)-%,$$(wildcard tests/unit/$(1)/test_*.c))
$$(unit_$(1)): $$(BUILD)/bin/$(1)-%: $$(BUILD)/tests/unit/$(1)/%.o $$(call lib,$$(libs_$(1)))
	@mkdir -p $$(@D)
	$$(CC) $$(ldflags) -o $$@ $$^ $$(call libs_of,$$(PKGS) cmocka)
unit-$(1): $$(unit_$(1))
	@for t in $$^; do echo "== $$$$t"; timeout 120 $$$$t || exit 1; done
.PHONY: unit-$(1)
endef
$(foreach m,$(test_modules),$(eval $(call unit_module,$(m))))

unit: $(foreach m,$(test_modules),unit-$(m))
.PHONY: unit

include tests/fuzz/fuzz.mk
include tests/crash/crash.mk
include tests/bench/store.mk
include tests/time/time.mk
include tests/wire/wire.mk
include tests/lint.mk
include tests/bench/bench.mk
