# `make run` and `make test` do everything on a fresh Debian 12 machine with Rust.

.PHONY: run test test-rust test-web test-system check build bench

# Builds the server and serves http://localhost:8100/.
run: build
	DUCKSOUP_MODE=DEV target/release/ducksoup-app

build:
	.ci/install build
	cargo build --release --locked --package ducksoup-app --package ducksoup-signaller

# All tests, browsers included.
test: test-rust test-web test-system

# A copy of the plugin on the plugin path must not be what is tested; a GLib warning is a failure.
test-rust:
	.ci/install test
	env -u GST_PLUGIN_PATH G_DEBUG=fatal-warnings cargo test --workspace --locked

test-web: node_modules
	npm test

test-system: build node_modules
	npm run test:system

# A short look at everything that is measured; bench/ tells how to look longer. Goals that are missed are told, and
# do not end it: other work on the machine may be the reason.
bench: build node_modules
	.ci/install bench
	cargo build --release --locked --package ducksoup-bench
	-target/release/ducksoup-bench recordings --participants 2 --seconds 20
	-target/release/ducksoup-bench recordings --participants 4 --seconds 20
	-target/release/ducksoup-bench recordings --participants 2 --seconds 20 --loss 0.03 --jitter 30
	-target/release/ducksoup-bench counts --duration 10
	-target/release/ducksoup-bench live --rounds 1 --seconds 10 --floor 5
	-target/release/ducksoup-bench cost --rounds 1
	-target/release/ducksoup-bench idle --rounds 1
	-target/release/ducksoup-bench join --rounds 1
	-target/release/ducksoup-bench forwarding --rounds 1
	-target/release/ducksoup-bench quality
	-node bench/browsers.mjs --seconds 20
	-node bench/live.mjs --rounds 1
	-node bench/live.mjs --joins 5
	-node bench/networks.mjs --only clean

node_modules: package-lock.json
	.ci/install test
	npm ci --no-audit --no-fund --silent
	touch node_modules

# What CI runs.
check:
	.ci/run
