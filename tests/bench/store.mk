# What the store layer alone costs (tests/bench/bench_store.c): make bench-store [BENCH_FOLDER=/disk]
BENCH_FOLDER ?= $(BUILD)
$(BUILD)/bin/bench-store: $(addprefix $(BUILD)/,tests/bench/bench_store.o broker/store/store.o broker/store/lmdb.o) $(call lib,base schemas)
$(BUILD)/bin/bench-store: LDLIBS = $(call libs_of,lmdb)
bench-store: $(BUILD)/bin/bench-store
	@folder=$$(mktemp -d $(BENCH_FOLDER)/bench-XXXXXX) && { $< $$folder; rm -rf $$folder; }
.PHONY: bench-store
