# The only entry: what a person or a CI does with this tree is a target here.

.DEFAULT_GOAL := help
.PHONY: help run test chart ops console soak bench attacks arm64 check fmt lint doc arrows structure documents deny advisories demo image pin-images conformance fuzz tools clean

CARGO ?= cargo
FUZZ_SECONDS ?= 60
RUNS ?= 5
RUSTDOCFLAGS := -D warnings
export RUSTDOCFLAGS

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start Archway on embedded defaults
	$(CARGO) run --locked --release -- serve

test: ## run all tests: unit, integration, real clients, the container image; installs what they need
	tests/run.sh

chart: ## Helm's output of charts/archway against each Kubernetes' schemas, Pod Security and Archway's config check
	tests/tools/install.sh chart
	$(CARGO) build --locked --workspace
	tests/chart/run.sh

ops: ## the dashboard, rules and alerts of ops/, each expression against a live Archway
	tests/tools/install.sh ops
	$(CARGO) build --locked --workspace
	tests/ops/run.sh

console: ## the console in Debian's Chromium: each page, by people and by enemies; pictures in target/console/
	tests/tools/install.sh console
	$(CARGO) build --locked --workspace
	tests/console/run.sh

soak: ## what takes too long for every run: attacks, 300 kills, 10 minutes idle offline, every fault at default settings, a real API server, 10^7 runs of each fuzz target
	tests/soak.sh

bench: ## measure against nginx and docker-registry; RUNS=5 ONLY=warm,small OUT=FILE narrow it down or keep it
	tests/tools/install.sh bench
	tests/bench/run.sh --runs $(RUNS) $(if $(ONLY),--only $(ONLY)) $(if $(OUT),--output $(OUT))

attacks: ## hostile and careless clients against Archway on one core, each by its bound; ONLY=resets,lists DOCUMENT=docs/hardening.md
	tests/tools/install.sh bench
	tests/attacks/run.sh $(if $(ONLY),--only $(ONLY)) $(if $(DOCUMENT),--document $(DOCUMENT))

check: fmt structure documents lint doc arrows deny ## everything that judges the code without running it

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc:
	$(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet

arrows: ## the crates' dependencies point one way
	tests/tools/arrows.sh

structure: ## no import circle, no type name twice in a crate, no type spread over files, no unused dependency
	tests/tools/structure.py

documents: ## every log event and metric is documented, every link and path in the documents leads somewhere
	tests/tools/documents.py

deny: ## licences, sources, duplicates, banned crates
	tests/tools/deny.sh

advisories: ## known vulnerabilities in Cargo.lock, by the database ADVISORIES=.../advisory-db-YYYY-MM-DD
	tests/tools/advisories.sh

demo: ## the walk-through: one name, two architectures, ECR asked once, and then none of it at an offline site
	tests/tools/install.sh demo
	$(CARGO) build --locked --release -p archway
	tests/demo/demo.sh

arm64: ## cross-compile for arm64, and run that by qemu: pulls of each kind, followers, kill -9
	tests/tools/install.sh demo
	tests/arm64/run.sh

image: ## build the last stage of docker/Dockerfile for amd64 and arm64 from static binaries made here, run them, pull through them
	tests/tools/install.sh demo
	docker/test-image.sh

pin-images: ## write the digests of the base images, as their registries tell them, into docker/Dockerfile
	docker/pin-images.sh

conformance: ## the pull tests of the OCI distribution-spec conformance suite, through Archway
	tests/conformance/run.sh

fuzz: ## run every fuzz target for FUZZ_SECONDS each (needs a nightly toolchain and cargo-fuzz)
	tests/tools/fuzz.sh -max_total_time=$(FUZZ_SECONDS)

tools: ## install what demo and tests need, and nothing else
	tests/tools/install.sh all

clean: ## remove what was built, not what was installed
	$(CARGO) clean
