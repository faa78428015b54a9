# The simulator: real core, session table and wire code in a world of faults (tests/sim/sim.h).
#   make sim         the seeds of seeds.txt, then SIM_SEEDS seeds of about 3,000 events, two processes
#   make sim-shrink  SIM_SEED that fails, made smaller
#   make sim-bugs    bugs put into copies of core on purpose: each must be found
#   make sim-same    one run, several compilers and environments: one hash
#   make soak-sim    seeds that nobody has seen, for SOAK_SECONDS
sim_objs := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/memstore.c,$(wildcard tests/sim/*.c)))
sim_libs := $(call lib,simstore broker time base schemas)
$(BUILD)/bin/sim: $(sim_objs) $(sim_libs)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $(sim_objs) $(sim_libs) $(call libs_of,$(PKGS))

SIM_SEEDS ?= 5000
SIM_SEED  ?= 1
sim: $(BUILD)/bin/sim
	@sed '/^#/d' tests/sim/seeds.txt | while read -r seed events what; do \
	    $< --seed $$seed --events $$events >$(BUILD)/sim.0 2>&1 || { cat $(BUILD)/sim.0; echo "sim: again: $$what"; exit 1; }; done || \
	    { echo "0 passed, 1 failed"; exit 1; }
	@half=$$(($(SIM_SEEDS) / 2)); \
	$< --seed $(SIM_SEED) --seeds $$half >$(BUILD)/sim.1 2>&1 & first=$$!; \
	$< --seed $$(($(SIM_SEED) + half)) --seeds $$(($(SIM_SEEDS) - half)) >$(BUILD)/sim.2 2>&1; bad=$$?; \
	wait $$first || bad=1; cat $(BUILD)/sim.1 $(BUILD)/sim.2; \
	sh tests/sim/same.sh $< || bad=1; \
	if [ $$bad -eq 0 ]; then echo "$(SIM_SEEDS) passed, 0 failed"; else echo "0 passed, 1 failed"; exit 1; fi

sim-shrink: $(BUILD)/bin/sim
	@$< --shrink $(SIM_SEED)

SIM_BUG_SEEDS ?= 400
sim-bugs: export COMPILE = $(CC) $(cppflags) $(cflags) -c
sim-bugs: export LINK    = $(CC) $(ldflags)
sim-bugs: export OBJECTS = $(sim_objs)
sim-bugs: export LIBS    = $(sim_libs) $(call libs_of,$(PKGS))
sim-bugs: export SOURCES = broker/core
sim-bugs: export SAYS    = sim: seed [0-9]+ fails
sim-bugs: $(BUILD)/bin/sim
	@sh tests/bugs.sh tests/sim/bugs.txt $(BUILD)/sim-bugs --seeds $(SIM_BUG_SEEDS)

sim-same: $(BUILD)/bin/sim
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/O0 CC=gcc CFLAGS=-O0 $(BUILD)/O0/bin/sim
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/clang CC=clang CFLAGS=-O2 $(BUILD)/clang/bin/sim
	@sh tests/sim/same.sh $< $(BUILD)/O0/bin/sim $(BUILD)/clang/bin/sim

soak-same: sim-same

soak-sim: $(BUILD)/bin/sim
	@seed=$$(date +%s)000; end=$$(($$(date +%s) + $(SOAK_SECONDS))); \
	while [ $$(date +%s) -lt $$end ]; do \
	    $(MAKE) --no-print-directory sim SIM_SEED=$$seed SIM_SEEDS=2000 || exit 1; \
	    seed=$$((seed + 2000)); done
.PHONY: sim sim-shrink sim-bugs sim-same soak-same soak-sim
