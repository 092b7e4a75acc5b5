# echora-images: `make image` builds and proves an image here, `make test` proves the project.

PROVIDER ?= $(shell cat provider-profiles/default)
ARCH := $(shell uname -m)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
GNU := $(ARCH)-unknown-linux-gnu
CLI := $(TARGET_DIR)/release/echora-images

# Tests of virtual machines are called vm_*.
FAST_TESTS := provisioners $(sort $(filter-out vm_%,$(basename $(notdir $(wildcard tests/*.rs */tests/*.rs)))))

# The rehearsal needs root for network namespaces; everything else runs as whoever calls make.
ifneq ($(shell id -u),0)
SUDO := sudo --preserve-env=PATH,HOME,XDG_CACHE_HOME,CARGO_TARGET_DIR,CARGO_HOME,RUSTUP_HOME,GOPROXY,http_proxy,https_proxy,no_proxy
endif
# sudo has a PATH of its own; tests run as root, what they are made of does not.
AS_ROOT := $(if $(SUDO),$(SUDO) env PATH=$(PATH):$(HOME)/.cargo/bin)
RUNNER := $(if $(SUDO),CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='$(AS_ROOT)')
CARGO_TEST := $(RUNNER) cargo test --locked --workspace
# What was measured, and what was left out for which reason, is told by tests that pass, too.
TOLD := --show-output
CARGO_BENCH := $(RUNNER) cargo bench --locked
# A Rust that was installed a moment ago is not yet on PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help setup image test soak check lint fmt generate build guest record-size stand-in contract bench clean clean-cache

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: ## build an image here, boot it as a buyer would and log in (PROVIDER=id; KEEP=1 leaves it running)
	@sh tools/timed.sh image 'make --no-print-directory build' '$(AS_ROOT) $(CLI) build $(PROVIDER) --rehearse' '$(AS_ROOT) $(CLI) boot build/latest $(if $(KEEP),--keep)'

test: lint guest stand-in ## run all tests, the whole way on virtual machines included
	$(CARGO_TEST) -- $(TOLD)

soak: guest stand-in ## run what takes longest: power cuts, a flood on the smallest machine, every provider's machine under its own cloud-init, as its API orders it and by its own plugin
	$(CARGO_TEST) --test vm_image --test vm_small --test vm_datasources --test vm_ordered --test vm_api_depth -- --ignored $(TOLD)

check: lint guest stand-in ## run the tests that need no virtual machine
	$(CARGO_TEST) --lib --bins $(FAST_TESTS:%=--test %) -- $(TOLD)

lint: setup ## check formatting, lints, shell scripts and generated files
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	git ls-files '*.sh' .ci/run firstboot/stack/001_onboot firstboot/stack/90-echora | xargs shellcheck
	cargo run --locked --quiet -- generate --check

fmt: ## format the code
	cargo fmt --all

generate: ## write packer/generated and the README's table anew
	cargo run --locked --quiet -- generate

build: setup guest stand-in ## build the command line tool and what goes into images
	cargo build --locked --release -p echora-images

guest: setup ## build the static guest binary for both architectures
	cargo build --locked --profile guest -p echora-firstboot --target x86_64-unknown-linux-musl
	cargo build --locked --profile guest -p echora-firstboot --target aarch64-unknown-linux-musl

record-size: guest ## let the guest binary have the size that it has now
	stat -c %s $(TARGET_DIR)/x86_64-unknown-linux-musl/guest/echora-firstboot >firstboot/guest-size

stand-in: setup ## build the stand-in app of the rehearsals
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --release -p echora-stand-in --target $(GNU)

contract: build ## check an app against the contract: make contract APP=/path/to/echora (default: the stand-in)
	$(AS_ROOT) $(CLI) contract $(if $(APP),--app '$(APP)')

bench: build ## time first boot beside bare Compose and the usual script, and several builds beside one (ROUNDS=7; VM=1: so often from power-on to login on VMs, 0 for not at all)
	@rm -f target/bench.json
	$(CARGO_BENCH) --bench first_boot -- --rounds $(or $(ROUNDS),7) --vm $(or $(VM),1)
	$(CARGO_BENCH) --bench all

setup: ## install what is missing, naming it first
	@sh tools/setup.sh

clean: ## remove what was built here
	cargo clean
	$(SUDO) rm -rf build

clean-cache: ## empty the user's cache of base disks, tools and container images
	$(AS_ROOT) $(CLI) clean-cache
