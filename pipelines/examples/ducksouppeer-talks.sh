#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A bot joins a mirror and talks to itself for five seconds; -m shows what the server says. It needs a server:
#   DUCKSOUP_MODE=DEV ducksoup-app
# Another one, another interaction: ducksouppeer-talks.sh ws://host:port/ws name
set -eu
exec gst-launch-1.0 -e -m audiotestsrc is-live=true wave=ticks \
  ! ducksouppeer name=p signaller::uri="${1:-ws://localhost:8100/ws}" \
    signaller::interaction="${2:-mirror}" signaller::user=bot signaller::size=1 \
    signaller::duration=5 signaller::audio-fx="pitch pitch=0.8 name=fx" \
  videotestsrc is-live=true pattern=ball ! p. \
  p. ! queue ! fakesink sync=true \
  p. ! queue ! fakesink sync=true
