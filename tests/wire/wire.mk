# The wire: vectors in Python, compatibility with what is released, a peer made from the
# specification alone against the real broker; and what the checked decode costs.
wire: $(BUILD)/bin/pawl-broker $(BUILD)/bin/replay $(BUILD)/lib/disk.so
	@PAWL_BUILD=$(BUILD) PAWL_BIN=$(BUILD)/bin $(PYTHON) tests/by_file.py tests/wire
	$(PYTHON) tests/wire/check_compat.py
$(BUILD)/bin/replay: $(BUILD)/tests/wire/replay.o $(call lib,simstore broker time base schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,$(PKGS))
$(BUILD)/lib/disk.so: tests/wire/disk.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(wflags) -std=gnu17 -fPIC -shared -O2 -g -o $@ $< -ldl
$(BUILD)/bin/bench_wire: $(BUILD)/tests/bench/bench_wire.o $(call lib,schemas)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(call libs_of,libprotobuf-c)
bench-wire: $(BUILD)/bin/bench_wire
	$<
.PHONY: wire bench-wire
