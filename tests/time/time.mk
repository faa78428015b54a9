# Time rules: tables of cases and an independent oracle, which ask `pawl when --batch` (PAWL=path tests
# another program, which is called with those words); a sweep over all clock changes; a bench.
#   make check-time   the cases, and some seconds of random rules
#   make time-sweep   every zone, every clock change 2000 to 2040 (ZONES="Europe/Paris ...": these)
#   make time-bugs    bugs put into copies of client/time on purpose: the sweep must find each
TIME_WHEN  := $(BUILD)/bin/pawl
time_objs  := $(addprefix $(BUILD)/tests/time/,sweep.o naive.o wall.o)
time_libs  := $(call lib,time base schemas)

$(BUILD)/bin/time-bench: $(BUILD)/tests/time/bench_rules.o $(time_libs)
$(BUILD)/bin/time-sweep: $(time_objs) $(time_libs)

check-time: $(TIME_WHEN)
	PAWL=$(or $(PAWL),$(abspath $(TIME_WHEN))) timeout 1800 $(PYTHON) -m pytest -q -p no:cacheprovider tests/time

time-sweep: $(BUILD)/bin/time-sweep
	@$< $(ZONES)

time-bugs: export COMPILE = $(CC) $(cppflags) $(cflags) -c
time-bugs: export LINK    = $(CC) $(ldflags)
time-bugs: export OBJECTS = $(time_objs)
time-bugs: export LIBS    = $(time_libs)
time-bugs: export SOURCES = client/time
time-bugs: export SAYS    = .*, expected
time-bugs: $(BUILD)/bin/time-sweep
	@sh tests/bugs.sh tests/time/bugs.txt $(BUILD)/time-bugs

# every transition of every zone 2000-2040, and an hour of random rules, by the other oracle
soak-time: $(TIME_WHEN)
	PAWL=$(or $(PAWL),$(abspath $(TIME_WHEN))) $(PYTHON) tests/time/oracle.py --seconds 3600 --all-transitions

bench-time: $(BUILD)/bin/time-bench
	$(BUILD)/bin/time-bench

.PHONY: check-time time-sweep time-bugs soak-time bench-time
