# Time rules: tables of cases, an independent oracle, a bench. They ask `pawl when --batch`;
# PAWL=path tests another program, which is called with those words.
TIME_WHEN := $(BUILD)/bin/pawl

$(BUILD)/bin/time-bench: $(BUILD)/tests/time/bench_rules.o $(call lib,time base schemas)

check-time: $(TIME_WHEN)
	PAWL=$(or $(PAWL),$(abspath $(TIME_WHEN))) timeout 300 $(PYTHON) -m pytest -q -p no:cacheprovider tests/time

# every transition of every zone 2000-2040, and an hour of random rules
soak-time: $(TIME_WHEN)
	PAWL=$(or $(PAWL),$(abspath $(TIME_WHEN))) $(PYTHON) tests/time/oracle.py --seconds 3600 --all-transitions

bench-time: $(BUILD)/bin/time-bench
	$(BUILD)/bin/time-bench

.PHONY: check-time soak-time bench-time
