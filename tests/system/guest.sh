#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A browser that gives way, if it shall (drivers of browsers know only of a path), on another host if one is named (hosts.js). It
# stands for a participant's computer, which has processors of its own; here it shares two with the server. Left to
# themselves, eight pages took three quarters of them, and each of the server's threads waited 15 ms for its turn:
# - Linux shares processors out by sessions first (sched(7), "The autogroup feature"), and a browser is one.
# - Where it may, Chromium goes before others: nice -8, and real time for its sound.
set -- "$DUCKSOUP_TEST_PROGRAM" "$@"
if [ -n "$DUCKSOUP_TEST_GIVES_WAY" ]; then
  [ -w /proc/self/autogroup ] && echo 10 > /proc/self/autogroup
  set -- nice -n 10 "$@"
  if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
    set -- setpriv --inh-caps=-sys_nice --bounding-set=-sys_nice -- "$@"
  fi
fi
[ -n "$DUCKSOUP_TEST_NETWORK" ] && set -- nsenter --net="$DUCKSOUP_TEST_NETWORK" -- "$@"
exec "$@"
