# What the store promises under power cuts, kills and failing calls (tests/crash/crash_store.c).
# make crash-store: the size of a check. make soak-crash-store [CRASH_SEED=7]: many times more.
# Without SAN: a preloaded library and the sanitizers' own do not go together.
CRASH_SEED    ?= 1
crash_store   := $(addprefix $(BUILD)/bin/,crash-store crash-scenario crash-shim.so)
crash_objects := $(addprefix $(BUILD)/,tests/crash/scenario.o broker/store/store.o broker/store/tally.o broker/store/lmdb.o)

$(BUILD)/bin/crash-store: $(BUILD)/tests/crash/crash_store.o $(BUILD)/broker/store/memstore.o $(crash_objects) \
    $(call lib,simstore base schemas)
$(BUILD)/bin/crash-scenario: $(BUILD)/tests/crash/scenario_main.o $(crash_objects) $(call lib,base schemas)
$(BUILD)/bin/crash-store $(BUILD)/bin/crash-scenario: LDLIBS = $(call libs_of,lmdb)
$(BUILD)/bin/crash-shim.so: $(BUILD)/tests/crash/shim.o
	@mkdir -p $(@D)
	$(CC) -shared -o $@ $^

crash-store: $(crash_store)
	@timeout 1800 $< 100 12 $(CRASH_SEED)
soak-crash-store: $(crash_store)
	@timeout 3600 $< 2000 40 $(CRASH_SEED)
.PHONY: crash-store soak-crash-store
