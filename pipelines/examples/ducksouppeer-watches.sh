#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A watcher gives silence and a black picture, and records what another participant, ada unless
# named, says and shows. It leaves with ctrl-c, or when the interaction ends.
#   ducksouppeer-watches.sh ws://host:port/ws interaction user
set -eu
who="${3:-ada}"
exec gst-launch-1.0 -e audiotestsrc is-live=true wave=silence \
  ! ducksouppeer name=p signaller::uri="${1:-ws://localhost:8100/ws}" \
    signaller::interaction="${2:-demo}" signaller::user=watcher \
  videotestsrc is-live=true pattern=black ! p. \
  "p.audio_src_$who" ! queue ! audioconvert ! wavenc ! filesink location="$who.wav" \
  "p.video_src_$who" ! queue ! videoconvert ! vp8enc deadline=1 ! webmmux ! filesink location="$who.webm"
