#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Colours fade out over one second, then the picture is mirrored: two effects, each by its name.
# Put autovideosink in the place of fakesink to see it.
set -eu
gst-launch-1.0 -m videotestsrc num-buffers=90 \
  ! video/x-raw,width=320,height=240,framerate=30/1 \
  ! fxcontrol fx="videobalance name=colour ! videoflip name=mirror" \
    timeline="0.5 colour saturation 0.0 1 cosine; 2 mirror method horizontal-flip" \
  ! video/x-raw,width=320,height=240 ! fakesink sync=false
