# The simulator: real core, session table and wire code in a world of faults (tests/sim/sim.h).
#   make sim         2,000 seeds, two processes
#   make sim-bugs    bugs put into copies of core on purpose: each must be found
#   make soak-sim    seeds nobody has seen
sim_objs := $(filter-out $(BUILD)/tests/sim/memstore.o,$(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c)))
sim_libs := $(call lib,simstore broker time base schemas)
$(BUILD)/bin/sim: $(sim_objs) $(sim_libs)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $(sim_objs) $(sim_libs) $(call libs_of,$(PKGS))
