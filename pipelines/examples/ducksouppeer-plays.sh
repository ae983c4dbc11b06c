#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A confederate plays a file with sound and picture to the others, and leaves at its end.
#   ducksouppeer-plays.sh film.mp4 ws://host:port/ws interaction
set -eu
exec gst-launch-1.0 filesrc location="${1:?a file with sound and picture}" ! decodebin name=d \
  d. ! audioconvert ! ducksouppeer name=p signaller::uri="${2:-ws://localhost:8100/ws}" \
    signaller::interaction="${3:-demo}" signaller::user=confederate \
  d. ! videoconvert ! p.
