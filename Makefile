# `make run` and `make test` do everything on a fresh Debian 12 machine with Rust.

.PHONY: run test test-rust test-web test-system check build

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

node_modules: package-lock.json
	.ci/install test
	npm ci --no-audit --no-fund --silent
	touch node_modules

# What CI runs.
check:
	.ci/run
