#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A program on another host (hosts.js): drivers of browsers know only of a path.
exec nsenter --net="$DUCKSOUP_TEST_NETWORK" -- "$DUCKSOUP_TEST_PROGRAM" "$@"
