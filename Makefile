# Pawl. `make help` lists what can be made.
comma    := ,
SAN      ?=
BUILD    ?= build$(if $(SAN),/$(subst $(comma),+,$(SAN)))
PREFIX   ?= /usr/local
DESTDIR  ?=
CFLAGS   ?= -O2 -g
PYTHON   ?= /usr/bin/python3
VERSION  := 0.1.0

DAEMON_PKGS := libczmq libzmq libprotobuf-c lmdb libsodium libfyaml
SDK_PKGS    := libzmq libprotobuf-c
SQL_PKGS    := sqlite3 libpq libmariadb
CLI_PKGS    := jansson libfyaml $(SDK_PKGS)
PKGS        := $(sort $(DAEMON_PKGS) $(CLI_PKGS) $(SQL_PKGS))
pkgcflags   := $(shell pkg-config --cflags $(PKGS))
libs_of      = $(shell pkg-config --libs $(1))

WARN      = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            $(WERROR:%=-Werror) $(if $(SAN),$(san_warn))
# What the sanitizers weave in makes gcc see null pointers that are not there.
san_warn := -Wno-format-truncation -Wno-unknown-warning-option
cppflags  = -I. -I$(BUILD)/gen -D_GNU_SOURCE -DPAWL_VERSION='"$(VERSION)"' $(pkgcflags) $(CPPFLAGS)
cflags    = -std=gnu17 -fPIC -fvisibility=hidden -fno-omit-frame-pointer -pthread \
            $(SAN:%=-fsanitize=%) $(CFLAGS)
ldflags   = -pthread -Wl,--as-needed $(SAN:%=-fsanitize=%) $(LDFLAGS)

obj       = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(wildcard $(1))))
lib       = $(addprefix $(BUILD)/lib/,$(addsuffix .a,$(1)))
gen      := $(BUILD)/gen/schemas/pawl.pb-c.c
programs := pawl pawl-broker pawl-scheduler pawl-executor
bins     := $(addprefix $(BUILD)/bin/,$(programs))

all: $(bins) $(BUILD)/lib/libpawl.so.0

# ---- what a module may link is what it may include (tests/arrows.sh) --------------------------
$(BUILD)/lib/schemas.a:   $(call obj,schemas/*.c) $(gen:.c=.o)
$(BUILD)/lib/base.a:      $(call obj,client/base/*.c)
$(BUILD)/lib/time.a:      $(call obj,client/time/*.c)
$(BUILD)/lib/client.a:    $(call obj,client/*.c)
$(BUILD)/lib/cli.a:       $(call obj,client/cli/*.c client/cli/*/*.c)
$(BUILD)/lib/broker.a:    $(call obj,broker/*.c broker/*/*.c)
$(BUILD)/lib/scheduler.a: $(call obj,scheduler/*.c)
$(BUILD)/lib/executor.a:  $(call obj,executor/*.c executor/*/*.c)

$(BUILD)/bin/pawl-broker:    $(BUILD)/broker/main.o $(call lib,broker time base schemas)
$(BUILD)/bin/pawl-scheduler: $(BUILD)/scheduler/main.o $(call lib,scheduler client time base schemas)
$(BUILD)/bin/pawl-executor:  $(BUILD)/executor/main.o $(call lib,executor client base schemas)
$(BUILD)/bin/pawl:           $(BUILD)/client/cli/main.o $(call lib,cli client time base schemas)
$(BUILD)/bin/pawl-broker $(BUILD)/bin/pawl-scheduler: LDLIBS = $(call libs_of,$(DAEMON_PKGS))
$(BUILD)/bin/pawl-executor: LDLIBS = $(call libs_of,$(DAEMON_PKGS) $(SQL_PKGS) jansson)
$(BUILD)/bin/pawl: LDLIBS = $(call libs_of,$(CLI_PKGS))
# All symbols are bound at the start: executor/process/lean.h needs it.
bind_now := -Wl,-z,relro,-z,now
$(BUILD)/bin/pawl-executor: LDFLAGS += $(bind_now)

$(BUILD)/lib/libpawl.so.0: $(call obj,client/*.c) $(call lib,base schemas)
	$(CC) -shared -Wl,-soname,libpawl.so.0 -Wl,--version-script=client/libpawl.map $(ldflags) -o $@ $^ $(call libs_of,$(SDK_PKGS))
include client/examples/examples.mk

$(BUILD)/gen/schemas/%.pb-c.c $(BUILD)/gen/schemas/%.pb-c.h &: schemas/%.proto
	@mkdir -p $(BUILD)/gen
	protoc-c --c_out=$(BUILD)/gen $<
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(CC) $(cppflags) $(cflags) -c -o $@ $<
$(BUILD)/%.o: %.c | $(gen:.c=.h)
	@mkdir -p $(@D)
	$(CC) $(cppflags) $(WARN) $(cflags) -MMD -MP -c -o $@ $<
$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/bin/%:
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $^ $(LDLIBS)

# ---- tests: one program a layer, in the order to read a red run --------------------------------
include tests/tests.mk

up: all
	$(BUILD)/bin/pawl up

demo: all
	$(PYTHON) ops/demo/demo.py --bin $(BUILD)/bin

install: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include share/pawl/schemas share/bash-completion/completions)
	install -m 755 $(bins) $(DESTDIR)$(PREFIX)/bin
	install -m 644 client/pawl.h $(DESTDIR)$(PREFIX)/include
	install -m 755 $(BUILD)/lib/libpawl.so.0 $(DESTDIR)$(PREFIX)/lib
	ln -sf libpawl.so.0 $(DESTDIR)$(PREFIX)/lib/libpawl.so
	sed -e 's|@PREFIX@|$(PREFIX)|;s|@VERSION@|$(VERSION)|' client/pawl.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/pawl.pc
	install -m 644 schemas/pawl.proto schemas/errors.tbl.h $(DESTDIR)$(PREFIX)/share/pawl/schemas
	$(BUILD)/bin/pawl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/pawl
	chmod 644 $(DESTDIR)$(PREFIX)/lib/pkgconfig/pawl.pc $(DESTDIR)$(PREFIX)/share/bash-completion/completions/pawl
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true

define help
make            the programs, into $(BUILD)/bin
make up         and run broker, scheduler and executor here (Ctrl-C ends them)
make check      every test (after sh ops/install-deps); tests/check.py --list: the steps, one by one
make format     clang-format over the tree
make lint       formatter, includes, clang-tidy, cppcheck
make unit       unit tests; unit-MODULE: of $(test_modules)
make wire check-time time-sweep fuzz-replay crash-store sim crash-loop e2e    other tests
make examples   client/examples, against the library
make demo       a crontab, 10,000 tasks and kills at random; ends by itself
make bench      figures, beside Redis and beanstalkd where they are; CCRONEXPR=DIR: that too
make soak       campaigns of hours: soak-sim same crash-store loop demo fuzz time torture sql
make install    DESTDIR and PREFIX ($(PREFIX)) work
make clean
Variants: SAN=address,undefined or SAN=thread (into build/...), CC=clang BUILD=build/clang, WERROR=1
endef
help:
	@: $(info $(help))

clean:
	rm -rf build

.PHONY: all up demo install help clean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
