# SPDX-License-Identifier: Apache-2.0
# A thin layer over Meson and Ninja. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build/cardea

# The distribution's packages serve its own Python, which need not be the first one in PATH.
PYTHON ?= $(shell for p in python3 /usr/bin/python3; do $$p -c 'import pytest, xdist, cryptography' 2>/dev/null && break; done; echo $$p)
PYTEST = $(PYTHON) -m pytest --no-header
# End-to-end tests that run at once. They wait more than they compute: two more than there are processors.
TEST_JOBS ?= $(shell echo $$(($$(nproc) + 2)))
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
# One target only: make fuzz FUZZ=hello
FUZZ ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
C_FILES = $(shell find src cmd tests bench -name '*.[ch]' 2>/dev/null | sort)
TIDY_FILES = $(filter src/%.c cmd/%.c,$(C_FILES))

# $(call build,DIR,TARGETS,MESON OPTIONS,VARIANT OF THE LIBRARIES,COMPILER): sets DIR up where it is not yet, or where
# one of AWS-LC, ngtcp2 and nghttp3 has moved, and builds TARGETS; a line for each step that there is. The lock lets
# several makes share a checkout.
define build
	@for tool in cc meson ninja pkg-config; do \
	  command -v $$tool >/dev/null || { echo "make: no $$tool here: run scripts/deps build" >&2; exit 1; }; done; \
	mkdir -p $(1); exec 9>$(1)/.lock; flock 9; \
	wanted="--variant $(or $(4),plain) $(if $(PREFIXES_KNOWN),--known $(1)/.prefixes)"; \
	awslc=$$(scripts/aws-lc $$wanted); \
	ngtcp2=$$(scripts/ngtcp2 --awslc "$$awslc" $$wanted); \
	nghttp3=$$(scripts/nghttp3 $$wanted); \
	prefixes="-Dawslc=$$awslc -Dngtcp2=$$ngtcp2 -Dnghttp3=$$nghttp3"; \
	if [ ! -f $(1)/build.ninja ]; then \
	  printf 'make: %s: %s\n' AWS-LC "$$awslc" ngtcp2 "$$ngtcp2" nghttp3 "$$nghttp3"; echo 'make: setting $(1) up'; \
	  $(if $(5),CC=$(5)) meson setup $(1) $$prefixes $(3) >$(1)/.setup 9>&- || { tail -n 20 $(1)/.setup >&2; exit 1; }; \
	elif ! printf '%s\n' "$$awslc" "$$ngtcp2" "$$nghttp3" | cmp -s - $(1)/.prefixes; then meson setup --reconfigure $(1) $$prefixes >$(1)/.setup 9>&- || { tail -n 20 $(1)/.setup >&2; exit 1; }; fi; \
	printf '%s\n' "$$awslc" "$$ngtcp2" "$$nghttp3" >$(1)/.prefixes; \
	plan=$$(ninja -C $(1) -n $(2) 9>&-); \
	case $$plan in *'no work to do'*) exit 0;; *'Compiling C object'*) \
	  echo "make: compiling cardea into $(1): $$(grep -c 'Compiling C object' <<<"$$plan") files";; esac; \
	ninja -C $(1) --quiet $(2) 9>&-
endef

# $(call check,DIR): unit tests and end-to-end tests of what was built in DIR, these side by side and then those that want
# the machine for themselves. cmocka may have come after the set-up.
define check
	@if ! grep -q cmocka $(1)/build.ninja && pkg-config --exists cmocka; then flock $(1)/.lock meson setup --reconfigure $(1) >/dev/null; fi
	flock $(1)/.lock meson test -C $(1) --quiet --print-errorlogs
	@rm -f $(1)/proves.json
	CARDEA=$(CURDIR)/$(1)/cardea $(PYTEST) --junitxml=$(1)/e2e.xml -n $(TEST_JOBS) --dist loadfile -m "not alone" tests/e2e
	CARDEA=$(CURDIR)/$(1)/cardea $(PYTEST) --junitxml=$(1)/e2e-alone.xml -m alone tests/e2e
	@scripts/readme-table --check $(1)/proves.json
endef

.PHONY: build/cardea
build/cardea: ## build the program (what plain `make` does)
	$(call build,build,cardea)

.PHONY: run
run: ## install what building needs, build, and show cardea at work
	@scripts/deps build
	@$(MAKE) --no-print-directory build/cardea
	@build/cardea quickstart

.PHONY: test
test: ## install what testing needs, build, run unit and end-to-end tests
	@scripts/deps test
	$(call build,build,all)
	$(call check,build)

.PHONY: readme-table
readme-table: ## README.md's table of protocols, from what the last end-to-end tests have shown
	@scripts/readme-table

.PHONY: asan
asan: ## the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/deps test
	$(call build,build-asan,all,-Db_sanitize=address$(comma)undefined)
	$(call check,build-asan)

.PHONY: tsan
tsan: ## the same tests under ThreadSanitizer
	@scripts/deps test
	$(call build,build-tsan,all,-Db_sanitize=thread,tsan)
	$(call check,build-tsan)

.PHONY: soak
soak: build/cardea ## long tests: leaks, descriptors, churn
	CARDEA=$(CURDIR)/build/cardea $(PYTEST) tests/soak

.PHONY: bench
bench: ## install the peers, measure cardea beside them, write bench/RESULTS.md
	@scripts/deps bench
	$(call build,build,cardea crowd issue mesh)
	@status=0; bench/run --write || status=1; bench/tunnel --write || status=1; bench/backends --write || status=1; bench/names --write || status=1; bench/ca --write || status=1; bench/posture --write || status=1; exit $$status

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ_SECONDS (60) each; FUZZ=NAME for one
	@scripts/deps fuzz
	$(call build,build-fuzz,all,-Dfuzz=true -Db_lundef=false -Db_sanitize=address$(comma)undefined,,clang)
	@for name in $(FUZZ); do \
	  echo "fuzz_$$name: $(FUZZ_SECONDS) s"; mkdir -p build-fuzz/corpus/$$name; \
	  seeds=tests/fuzz/corpus/$$name; [ -d $$seeds ] || seeds=; \
	  build-fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -timeout=5 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=build-fuzz/$$name- build-fuzz/corpus/$$name $$seeds; \
	done

.PHONY: fmt
fmt: ## format the sources
	@clang-format -i $(C_FILES)

.PHONY: lint
lint: ## format, layers, clang-tidy, and the figures of the tree
	@scripts/deps lint
	@$(MAKE) --no-print-directory layers format-check tidy
	@tools/measure

.PHONY: layers
layers: ## folders include only downward
	@scripts/check-layers

.PHONY: format-check
format-check:
	@clang-format --dry-run -Werror $(C_FILES)

.PHONY: tidy
tidy:
	$(call build,build,cardea)
	@printf '%s\n' $(TIDY_FILES) | xargs -P "$$(nproc)" -n 1 clang-tidy -p build --quiet --extra-arg=-Wno-unknown-warning-option

.PHONY: install
# Whoever installs (root, often) may have another cache: what the build folder was set up with is good enough.
install: PREFIXES_KNOWN = yes
install: build/cardea ## install under PREFIX (/usr/local): program, manual, completions, units; DESTDIR is honoured
	@DESTDIR='$(DESTDIR)' packaging/install --prefix '$(PREFIX)'

.PHONY: deb
deb: build/cardea ## a Debian package: build/cardea_VERSION_ARCHITECTURE.deb
	@packaging/deb

.PHONY: clean
clean: ## remove every build folder (the cache of libraries stays)
	@rm -rf build build-asan build-tsan build-fuzz

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z/-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

comma := ,
