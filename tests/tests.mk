# Tests, in the order to read a red run: unit (one cmocka program a file, tests/unit/MODULE/test_X.c,
# linked with what MODULE may link), wire, store, simulation, crash, end to end.
include tests/lint.mk
libs_schemas   := schemas
libs_base      := base schemas
libs_time      := time base schemas
libs_client    := client base schemas
libs_cli       := cli client time base schemas
libs_broker    := simstore broker time base schemas
libs_scheduler := scheduler client time base schemas
libs_executor  := executor client base schemas
# What tests do to the store in memory (tests/sim/memstore.h): for unit tests of the broker and the simulator.
$(BUILD)/lib/simstore.a: $(BUILD)/tests/sim/memstore.o
test_modules   := schemas base time client cli broker scheduler executor

define unit_module
unit_$(1) := $$(patsubst tests/unit/$(1)/%.c,$$(BUILD)/bin/$(1)-%,$$(wildcard tests/unit/$(1)/test_*.c))
$$(unit_$(1)): $$(BUILD)/bin/$(1)-%: $$(BUILD)/tests/unit/$(1)/%.o $$(call lib,$$(libs_$(1)))
	@mkdir -p $$(@D)
	$$(CC) $$(ldflags) -o $$@ $$^ $$(call libs_of,$$(PKGS) cmocka)
unit-$(1): $$(unit_$(1))
	@for t in $$^; do echo "== $$$$t"; timeout 1800 $$$$t || exit 1; done
.PHONY: unit-$(1)
endef
$(foreach m,$(test_modules),$(eval $(call unit_module,$(m))))

$(unit_executor): LDFLAGS += $(bind_now)

unit: $(foreach m,$(test_modules),unit-$(m))

# Everything that is C, compiled and no more: for another compiler's warnings.
objects: $(patsubst %.c,$(BUILD)/%.o,$(lint_sources))
test-objects: $(patsubst %.c,$(BUILD)/%.o,$(shell find tests -name '*.c'))

check:
	@$(PYTHON) tests/check.py --build $(BUILD)
check-install: all
	@tests/install.sh $(BUILD)

# Campaigns: hours, one after the other.
SOAK_SECONDS ?= 3600
soak-torture: $(BUILD)/bin/executor-test_torture all
	PAWL_TORTURE_RUNS=1000 timeout 7200 $<
	PAWL_TORTURE_ROUNDS=120 PAWL_TORTURE_BYTES=10737418240 timeout 3600 $(e2e_python) -m pytest -q \
	    -p no:cacheprovider -rP tests/e2e/test_torture.py
soak-fuzz:
	$(MAKE) fuzz FUZZ_SECONDS=$(SOAK_SECONDS)
soak:
	@for campaign in sim same crash-store loop demo fuzz time torture sql; do \
	    $(MAKE) --no-print-directory soak-$$campaign || bad="$$bad soak-$$campaign"; done; \
	 [ -z "$$bad" ] || { echo "soak: failed:$$bad"; exit 1; }

.PHONY: unit objects test-objects test-programs check check-install soak soak-torture soak-fuzz

include $(sort $(wildcard tests/*/*.mk))

# Every program of the steps of `make check` that run side by side: none of them builds then.
test-programs: $(foreach m,$(test_modules),$(unit_$(m))) $(addprefix $(BUILD)/bin/,sim replay time-sweep old-store) \
               $(BUILD)/lib/disk.so $(crash_store)
