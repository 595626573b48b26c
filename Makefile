# kaiwa's commands. Each does its own set-up and works on a fresh machine.
#
#   make demo     a spoken conversation with the embedded server, by itself
#   make test     every test (fetches the models once, into the target folder)
#   make build    the optimised binary, target/release/kaiwa
#   make conformance   stock SDKs and voice frameworks against kaiwa serve
#   make lint     formatting, clippy, documentation, the house's own checks
#   make bench    the figures, as JSON and as pages below target/bench: word error rate,
#                 latency, ends of turns, barge-in, echo
#   make clean    removes what was built

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
KAIWA := $(TARGET)/ci/kaiwa
SPEECH := $(or $(KAIWA_SPEECH_DIR),$(CURDIR)/../shared/speech)

# Tests keep their models beside the build, so that nothing outside the checkout
# decides whether they pass.
TEST_MODELS := $(or $(KAIWA_MODELS_DIR),$(TARGET)/models)
TEST_MODEL_NAMES := silero-vad smart-turn-v3.2 whisper-tiny.en whisper-base smollm2-135m hibari piper-joe

.PHONY: demo test conformance build binary models lint bench clean setup

demo: binary
	$(KAIWA) demo --yes --output demo.wav

# The tests are built first: the binary they bring along fetches the models, and nothing
# is compiled twice.
test: setup
	$(CARGO) test --profile ci --locked --workspace --no-run
	KAIWA_MODELS_DIR="$(TEST_MODELS)" $(KAIWA) models pull --yes $(TEST_MODEL_NAMES)
	KAIWA_MODELS_DIR="$(TEST_MODELS)" scripts/test

# Writes docs/conformance.md; CI compares instead.
conformance: binary
	scripts/setup conformance
	scripts/conformance

build: setup
	$(CARGO) build --release --locked --package kaiwa

lint: setup
	$(CARGO) xtask lint

# A report names the commit that it is of.
bench: export KAIWA_COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)
bench: binary models
	KAIWA_MODELS_DIR="$(TEST_MODELS)" $(KAIWA) bench wer --speech "$(SPEECH)" --json
	mkdir -p "$(TARGET)/bench"
	for figure in latency "latency --turn server" turns bargein "bargein --turn server" echo noise; do \
	  KAIWA_MODELS_DIR="$(TEST_MODELS)" $(KAIWA) bench $$figure --speech "$(SPEECH)" \
	    --html "$(TARGET)/bench/$${figure// --turn /-}.html" --json; \
	done

clean:
	$(CARGO) clean

# The binary of the profile that tests, demo and benchmarks share.
binary: setup
	$(CARGO) build --profile ci --locked --package kaiwa

models: binary
	KAIWA_MODELS_DIR="$(TEST_MODELS)" $(KAIWA) models pull --yes $(TEST_MODEL_NAMES)

setup:
	@scripts/setup
