# Benchmarks: never part of check. `make bench` prints a table; docs/benchmarks.md keeps one.
bench_programs := $(addprefix $(BUILD)/bin/,bench_life bench_peers bench_sync)
$(bench_programs): $(BUILD)/bin/%: $(BUILD)/tests/bench/%.o $(call lib,base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(SDK_PKGS) libfyaml lmdb)
bench: all $(bench_programs)
	$(PYTHON) tests/bench/run.py --bin $(BUILD)/bin $(BENCH_FLAGS)
.PHONY: bench

# Empty commands through the whole system beside posix_spawn in one loop, and what 1,000 executors
# that have nothing to do cost the broker.
$(BUILD)/bin/bench_spawn: $(BUILD)/tests/bench/bench_spawn.o $(call lib,executor client base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(PKGS))
$(BUILD)/bin/bench_spawn: LDFLAGS += $(bind_now)
bench: bench-commands bench-idle
bench-commands: all $(BUILD)/bin/bench_spawn
	$(BUILD)/bin/bench_spawn
	$(PYTHON) tests/bench/bench_commands.py --bin $(BUILD)/bin $(COMMANDS_FLAGS)
bench-idle: all
	$(PYTHON) tests/bench/bench_idle.py --bin $(BUILD)/bin $(IDLE_FLAGS)
.PHONY: bench-commands bench-idle

# Rows of PostgreSQL that become tasks, undisturbed and under ten kills; 20,000 of them are in check.
SQL_ROWS ?= 1000000
bench: bench-sql
bench-sql soak-sql: all
	$(PYTHON) tests/bench/sql_rows.py --bin $(BUILD)/bin --rows $(SQL_ROWS)
	$(PYTHON) tests/bench/sql_rows.py --bin $(BUILD)/bin --rows $(SQL_ROWS) --kills 10
# Rows of a gigabyte from each database: 80 MB of them in check, since the servers want 3 GB for these.
soak-sql: soak-rows
soak-rows: all
	PAWL_ROW_BYTES=1000000000 PAWL_BUILD=$(BUILD) PAWL_BIN=$(BUILD)/bin $(PYTHON) -m pytest -q -p no:cacheprovider tests/e2e/test_sql.py -k huge_row
.PHONY: bench-sql soak-sql soak-rows

# Cron rules beside ccronexpr: CCRONEXPR names a folder where it was built by its own means
# (ccronexpr.h, libccronexpr.so). Nothing of it is in this repository.
ifdef CCRONEXPR
bench: bench-cron
endif
bench-cron: $(call lib,time base schemas)
	@mkdir -p $(BUILD)/bin
	$(CC) $(cppflags) $(CCRONEXPR:%=-isystem %) $(WARN) $(cflags) $(ldflags) -o $(BUILD)/bin/bench_cron tests/bench/bench_cron.c $^ -ldl
	$(BUILD)/bin/bench_cron $(abspath $(CCRONEXPR))/libccronexpr.so
.PHONY: bench-cron
# One scheduler with very many schedules. A million:
# make bench-schedules SCHEDULES_FLAGS="--schedules 1000000 --minute 100000 --second 1000 --apply 100000"
bench: bench-schedules
bench-schedules: all
	$(PYTHON) tests/bench/bench_schedules.py --bin $(BUILD)/bin $(SCHEDULES_FLAGS)
.PHONY: bench-schedules

# A store that was left a year ago; and what its backlog costs the schedules that live beside it.
$(BUILD)/bin/old-store: $(BUILD)/tests/bench/old_store.o $(call lib,broker time base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(DAEMON_PKGS))
bench: bench-backlog
bench-backlog: all $(BUILD)/bin/old-store
	$(PYTHON) tests/bench/bench_backlog.py --bin $(BUILD)/bin $(BACKLOG_FLAGS)
.PHONY: bench-backlog
