# Benchmarks: never part of check. `make bench` prints a table; docs/benchmarks.md keeps one.
bench_programs := $(addprefix $(BUILD)/bin/,bench_life bench_peers bench_sync)
$(bench_programs): $(BUILD)/bin/%: $(BUILD)/tests/bench/%.o $(call lib,base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(SDK_PKGS) libfyaml lmdb)
bench: all $(bench_programs)
	$(PYTHON) tests/bench/run.py --bin $(BUILD)/bin $(BENCH_FLAGS)
.PHONY: bench
