#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# 60 frames a second become 25: surplus frames are dropped, none waits.
exec env GST_DEBUG="${GST_DEBUG:-framegrid:4}" gst-launch-1.0 \
    videotestsrc is-live=true num-buffers=120 ! video/x-raw,framerate=60/1 \
    ! framegrid ! video/x-raw,framerate=25/1 ! fakesink
