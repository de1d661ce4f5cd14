# muster: Lua coroutines on a C scheduler.
#
#   make              build/muster, the one binary, and build/libmuster.a
#   make demo         the pipelines of scripts/pipelines, on real input
#   make test         every spec, through build/muster (SPEC="files", FILTER=pattern)
#   make asan         the same under the address, leak and undefined-behaviour sanitizers
#   make valgrind     what switches coroutines and C stacks, under valgrind
#   make bench        the numbers, beside their limits
#   make lint         luacheck, clang-format, warnings, the floors
#   make format       let clang-format have its way
#   make install      PREFIX=/usr/local DESTDIR=
#   make clean
#
# CC, CFLAGS, CPPFLAGS, LDFLAGS are yours to set; V=1 shows the commands.

PREFIX ?= /usr/local
BUILD  ?= build
CFLAGS ?= -O2 -g -DNDEBUG
Q      := $(if $(V),,@)

VERSION := $(shell sed -n 's/^\#define MUSTER_VERSION "\(.*\)"/\1/p' runtime/include/muster.h)
SONAME  := libmuster.so.$(firstword $(subst ., ,$(VERSION)))

# ---- What is built from what. The CLI is a client of the library; runtime/base and sched stand alone. collector.c is
# ---- for the binary only.

SRC     := $(wildcard $(addsuffix *.c,runtime/ runtime/base/ runtime/sched/ runtime/host/ runtime/bind/))
CLI     := $(filter $(addprefix runtime/,main.c repl.c terminal.c screen.c tab.c wide.c collector.c),$(SRC))
LUA     := $(sort $(shell find lua/muster lua/types -name '*.lua'))
obj      = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CLI_OBJ := $(call obj,$(CLI))
LIB_OBJ := $(call obj,$(filter-out $(CLI),$(SRC)) embedded.c)
LOW_OBJ := $(filter $(BUILD)/obj/runtime/base/% $(BUILD)/obj/runtime/sched/%,$(LIB_OBJ))

SCHED_OBJ  := $(call obj,$(wildcard spec/sched/*.c))
PROGRAMS   := $(patsubst spec/embed/%.c,$(BUILD)/spec/%,$(wildcard spec/embed/*.c)) \
              $(if $(SCHED_OBJ),$(BUILD)/spec/sched_alone)
BENCHES    := $(BUILD)/bench/limit $(BUILD)/bench/floor.so $(BUILD)/bench/plain_http

# ---- Lua and its libraries, linked statically. All of Lua: modules loaded at run time may call any of it. The line
# ---- editor is the CLI's own affair.

comma      := ,

LUA_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags lua5.4 2>/dev/null))
LUA_LIBDIR := $(shell pkg-config --variable=libdir lua5.4 2>/dev/null)
LUA_RE     := $(shell pkg-config --variable=INSTALL_LMOD lua5.4 2>/dev/null)/re.lua
LUA_LIBS   := -L$(LUA_LIBDIR) -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive -lm -ldl
LIBS       := $(LUA_LIBS) -l:liblua5.4-lpeg.a -l:liblua5.4-cjson.a -l:liblua5.4-luv.a -l:libuv_a.a -l:libmd.a -lpthread
WRAP       := -Wl,--wrap=luaC_step,--wrap=luaC_fullgc# see runtime/collector.c
EDIT_LIBS  := libedit.a libtinfo.a libbsd.a libmd.a
CLI_LIBS   := $(addprefix -l:,$(EDIT_LIBS)) $(addprefix -Wl$(comma)--exclude-libs$(comma),$(EDIT_LIBS))
SHARED     := lua5.4-lpeg lua5.4-cjson lua5.4-luv libuv libmd lua5.4

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes
COMMON  := -std=c11 -D_DEFAULT_SOURCE $(WARN) $(LUA_CFLAGS)
COMPILE  = $(CC) $(COMMON) -fPIC -fvisibility=hidden -Iruntime -Iruntime/include $(CPPFLAGS) $(CFLAGS) -MMD -MP
PROGRAM  = $(CC) $(COMMON) -Iruntime/include $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d
SAN     := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined \
           $(if $(findstring clang,$(CC)),,-static-libubsan)

.PHONY: all demo run-demo test check asan valgrind bench lint format install clean help FORCE
.DELETE_ON_ERROR:

all: $(BUILD)/muster $(BUILD)/libmuster.a

# ---- Objects depend on the flags they were made with: `make CC=clang` mixes nothing.

$(BUILD)/flags: FORCE
	@test -n "$(LUA_LIBDIR)" || { echo "no Lua 5.4 for pkg-config: run scripts/tools/setup.sh" >&2; exit 1; }
	@mkdir -p $(@D)
	@echo '$(COMPILE) $(LDFLAGS) $(LIBS) $(CLI_LIBS)' | cmp -s - $@ || \
	  echo '$(COMPILE) $(LDFLAGS) $(LIBS) $(CLI_LIBS)' > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D); echo "  cc      $<"
	$(Q)$(COMPILE) -c $< -o $@

$(BUILD)/obj/embedded.o: $(BUILD)/embedded.c
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c $< -o $@

# A directory is newer than what was made from it when a file has come or gone.
$(BUILD)/embedded.c: scripts/tools/embed.sh $(LUA) $(sort $(dir $(LUA))) $(BUILD)/flags
	@echo "  embed   $(words $(LUA)) Lua files and re.lua"
	$(Q)scripts/tools/embed.sh $(LUA) re=$(LUA_RE) > $@

$(BUILD)/libmuster.a: $(LIB_OBJ) $(sort $(dir $(SRC)))
	@echo "  ar      $@"; rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

$(BUILD)/muster: $(CLI_OBJ) $(BUILD)/libmuster.a
	@echo "  link    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,-E $(WRAP) $^ $(LIBS) $(CLI_LIBS) -o $@

$(BUILD)/$(SONAME): $(LIB_OBJ)
	@echo "  link    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME),-z,defs $^ \
	  $$(pkg-config --libs $(SHARED)) -lm -lpthread -o $@

# ---- Running it.

demo test:
	@scripts/tools/setup.sh
	@$(MAKE) --no-print-directory $(if $(filter demo,$@),run-demo,check)

run-demo: all
	$(BUILD)/muster scripts/pipelines/people.lua
	$(BUILD)/muster scripts/pipelines/limits.lua
	$(BUILD)/muster scripts/pipelines/copyrights.lua --out $(BUILD)/copyrights.jsonl
	$(BUILD)/muster scripts/pipelines/copyrights_killed.lua $(BUILD)/killed
	@echo "demo: people, limits and copyrights ran; $$(wc -l < $(BUILD)/copyrights.jsonl) records" \
	  "are in $(BUILD)/copyrights.jsonl"

# A host's program sees the public header only; the scheduler links with Lua and nothing else.
$(BUILD)/spec/%: spec/embed/%.c $(BUILD)/libmuster.a
	@mkdir -p $(@D); echo "  link    $@"
	$(Q)$(PROGRAM) $< $(BUILD)/libmuster.a $(LIBS) -o $@

$(BUILD)/spec/sched_alone: $(SCHED_OBJ) $(LOW_OBJ)
	@mkdir -p $(@D); echo "  link    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LUA_LIBS) -o $@

# SPEC, FILTER and UNDER, when given, are in the environment already.
check: all $(PROGRAMS)
	@BUILD=$(BUILD) PROGRAMS="$(PROGRAMS)" scripts/tools/test.sh

asan:
	@scripts/tools/setup.sh
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CFLAGS='$(SAN)' CPPFLAGS='$(CPPFLAGS) -DMU_LIBC_ALLOC' check

SWITCHING := $(wildcard spec/coroutine*_spec.lua spec/generator_spec.lua spec/pin_spec.lua \
               spec/pin_contexts_spec.lua spec/pin_memory_spec.lua spec/embed/pinned*.c)

valgrind:
	@scripts/tools/setup.sh --dev
	@$(MAKE) --no-print-directory UNDER='valgrind -q --error-exitcode=9' SPEC='$(or $(SPEC),$(SWITCHING))' check

bench: all $(BENCHES)
	@$(BUILD)/muster scripts/bench/core.lua
	@echo
	@$(BUILD)/muster scripts/bench/http.lua
	@echo
	@$(BUILD)/muster scripts/bench/server.lua
	@echo
	@$(BUILD)/muster --slow 0 scripts/bench/extract.lua
	@echo
	@$(BUILD)/muster --slow 0 scripts/bench/pipeline.lua

$(BUILD)/bench/plain_http: BENCH_LIBS := -lcurl

$(BUILD)/bench/%: scripts/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D); echo "  link    $@"
	$(Q)$(PROGRAM) $< $(if $(BENCH_LIBS),$(BENCH_LIBS),$(LUA_LIBS)) -o $@

$(BUILD)/bench/%.so: scripts/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D); echo "  link    $@"
	$(Q)$(PROGRAM) -shared -fPIC $< -o $@

lint: all
	@BUILD=$(BUILD) FLAGS="$(COMMON) -Iruntime -Iruntime/include" scripts/tools/lint.sh

format:
	@scripts/tools/lint.sh --format

# ---- Installing it.

install: all $(BUILD)/$(SONAME)
	@BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) VERSION=$(VERSION) SONAME=$(SONAME) \
	  scripts/tools/install.sh

clean:
	rm -rf build

help:
	@sed -n 's/^#   //p' Makefile

-include $(patsubst %.o,%.d,$(CLI_OBJ) $(LIB_OBJ) $(SCHED_OBJ)) $(PROGRAMS:=.d) $(BENCHES:=.d)
