# Fuzz targets. make fuzz FUZZ_SECONDS=600 ; make fuzz-replay (part of check: the corpus only)
FUZZ_SECONDS ?= 20
fuzz_names   := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_flags   := -O1 -g -std=gnu17 -D_GNU_SOURCE -DPAWL_VERSION='"fuzz"' -fno-omit-frame-pointer
fuzz_inc      = -I. -I$(BUILD)/gen $(pkgcflags)
# What a target stands on beside itself; its own file may add to it.
fuzz_src_wire := $(wildcard schemas/*.c)
fuzz_inc_wire := $(wildcard schemas/*.h) tests/wire/frame.h

$(BUILD)/fuzz/corpus/wire: schemas/vectors/vectors.json tests/fuzz/make_corpus.py
	$(PYTHON) tests/fuzz/make_corpus.py $@
$(BUILD)/fuzz/fuzz_wire: tests/fuzz/fuzz_wire.c $(fuzz_src_wire) $(fuzz_inc_wire) $(gen)
	@mkdir -p $(@D)
	clang $(fuzz_flags) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(fuzz_inc) \
	  -o $@ $(filter %.c,$^) $(call libs_of,libprotobuf-c)
$(BUILD)/fuzz/replay_wire: tests/fuzz/fuzz_wire.c $(fuzz_src_wire) $(fuzz_inc_wire) $(gen)
	@mkdir -p $(@D)
	$(CC) $(fuzz_flags) -DREPLAY -fsanitize=address,undefined -fno-sanitize-recover=all $(fuzz_inc) \
	  -o $@ $(filter %.c,$^) $(call libs_of,libprotobuf-c)

# Texts of SQL and JSON of parameters (executor/sql), without the databases' libraries.
fuzz_src_sql := executor/sql/script.c executor/sql/json.c executor/instant.c client/base/base.c $(wildcard schemas/*.c)
$(BUILD)/fuzz/corpus/sql:
	@mkdir -p $@
	printf '%s' 'J{"a":[1,{"$$bytes":"AP8Q"}],"b":1e5,"c":{"$$time":"2026-12-01T02:00:00Z"}}' >$@/json
	printf '%s' 'Pselect :a::int, $$x$$:b$$x$$; create trigger t begin select 1; end' >$@/script
$(BUILD)/fuzz/fuzz_sql: tests/fuzz/fuzz_sql.c $(fuzz_src_sql) $(wildcard executor/sql/*.h) $(gen)
	@mkdir -p $(@D)
	clang $(fuzz_flags) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $(fuzz_inc) \
	  -o $@ $(filter %.c,$^) $(call libs_of,libprotobuf-c libsodium)
$(BUILD)/fuzz/replay_sql: tests/fuzz/fuzz_sql.c $(fuzz_src_sql) $(wildcard executor/sql/*.h) $(gen)
	@mkdir -p $(@D)
	$(CC) $(fuzz_flags) -DREPLAY -fsanitize=address,undefined -fno-sanitize-recover=all $(fuzz_inc) \
	  -o $@ $(filter %.c,$^) $(call libs_of,libprotobuf-c libsodium)
fuzz-sql: $(BUILD)/fuzz/fuzz_sql $(BUILD)/fuzz/corpus/sql
	cd $(BUILD)/fuzz && ./fuzz_sql -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=5 \
	  -print_final_stats=1 corpus/sql
fuzz-replay-sql: $(BUILD)/fuzz/replay_sql $(BUILD)/fuzz/corpus/sql
	$< $(BUILD)/fuzz/corpus/sql/* $(wildcard tests/fuzz/found/sql-*)

fuzz-wire: $(BUILD)/fuzz/fuzz_wire $(BUILD)/fuzz/corpus/wire
	cd $(BUILD)/fuzz && ./fuzz_wire -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 \
	  -print_final_stats=1 corpus/wire
fuzz-replay-wire: $(BUILD)/fuzz/replay_wire
	$< schemas/vectors/*.hex $(wildcard tests/fuzz/found/wire-*)
fuzz: $(fuzz_names:%=fuzz-%)
fuzz-replay: $(fuzz_names:%=fuzz-replay-%)
.PHONY: fuzz fuzz-replay $(fuzz_names:%=fuzz-%) $(fuzz_names:%=fuzz-replay-%)
