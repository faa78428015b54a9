# SPDX-License-Identifier: Apache-2.0
# Example programs. They see what a user sees: an installed pawl.h and libpawl.so, nothing else of
# this tree. `make examples` builds them into $(BUILD)/examples/.
examples := $(patsubst client/examples/%.c,$(BUILD)/examples/%,$(wildcard client/examples/*.c))

$(BUILD)/lib/libpawl.so: $(BUILD)/lib/libpawl.so.0
	ln -sf libpawl.so.0 $@
$(BUILD)/examples/include/pawl.h: client/pawl.h
	@mkdir -p $(@D)
	cp $< $@
$(BUILD)/examples/%: client/examples/%.c $(BUILD)/examples/include/pawl.h $(BUILD)/lib/libpawl.so
	$(CC) -std=gnu17 -I$(BUILD)/examples/include $(WARN) $(CFLAGS) $(SAN:%=-fsanitize=%) -o $@ $< \
	    -L$(BUILD)/lib -lpawl -Wl,-rpath,'$$ORIGIN/../lib'

examples: $(examples)
.PHONY: examples
