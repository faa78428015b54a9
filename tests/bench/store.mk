# What the store layer alone costs (tests/bench/bench_store.c): make bench-store [BENCH_FOLDER=/disk]
BENCH_FOLDER ?= $(BUILD)
$(BUILD)/bin/bench-store: $(addprefix $(BUILD)/,tests/bench/bench_store.o broker/store/store.o broker/store/tally.o broker/store/lmdb.o) $(call lib,base schemas)
$(BUILD)/bin/bench-store: LDLIBS = $(call libs_of,lmdb)
bench-store: $(BUILD)/bin/bench-store
	@folder=$$(mktemp -d $(BENCH_FOLDER)/bench-XXXXXX) && { $< $$folder; rm -rf $$folder; }
.PHONY: bench-store

# One commit for a fan-out to 10,000 executors (tests/bench/bench_fanout.c): make bench-fanout
FANOUT_HOSTS ?= 10000
$(BUILD)/bin/bench-fanout: $(BUILD)/tests/bench/bench_fanout.o $(call lib,broker time base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(PKGS))
bench-fanout: $(BUILD)/bin/bench-fanout
	@folder=$$(mktemp -d $(BENCH_FOLDER)/bench-XXXXXX) && { $< $$folder/store $(FANOUT_HOSTS); rm -rf $$folder; }
.PHONY: bench-fanout

# A year without a broker, mode by mode (tests/bench/bench_outage.c): make bench-outage
OUTAGE_SCHEDULES ?= 100
$(BUILD)/bin/bench-outage: $(BUILD)/tests/bench/bench_outage.o $(call lib,broker time base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(PKGS))
bench-outage: $(BUILD)/bin/bench-outage
	@folder=$$(mktemp -d $(BENCH_FOLDER)/bench-XXXXXX) && { $< $$folder $(OUTAGE_SCHEDULES); rm -rf $$folder; }
.PHONY: bench-outage

# A minute at which very many schedules are due, through core alone (tests/bench/bench_fire.c):
# make bench-fire [FIRE_SCHEDULES=100000] [FIRE_OTHERS=900000]
FIRE_SCHEDULES ?= 50000
FIRE_OTHERS ?= 0
$(BUILD)/bin/bench-fire: $(BUILD)/tests/bench/bench_fire.o $(call lib,broker time base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(PKGS))
bench-fire: $(BUILD)/bin/bench-fire
	@folder=$$(mktemp -d $(BENCH_FOLDER)/bench-XXXXXX) && { $< $$folder/store $(FIRE_SCHEDULES) $(FIRE_OTHERS); rm -rf $$folder; }
.PHONY: bench-fire
