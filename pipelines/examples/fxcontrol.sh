#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A voice goes up by a third within two seconds and comes back at once; -m shows what was really
# set and when. Put autoaudiosink in the place of fakesink to hear it.
set -eu
gst-launch-1.0 -m audiotestsrc wave=saw freq=220 num-buffers=200 \
  ! fxcontrol fx="pitch pitch=1.0 name=fx" \
    timeline="1 fx pitch 1.26 2 exponential; 4 fx pitch 1.0" \
  ! fakesink sync=false
