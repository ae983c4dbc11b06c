#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# A camera at 12 frames a second that loses one in ten becomes 25 frames a second, each of them on the grid.
# The numbers at the end: frames in and out, pictures repeated, frames dropped.
exec env GST_DEBUG="${GST_DEBUG:-framegrid:4}" gst-launch-1.0 \
    videotestsrc is-live=true pattern=ball num-buffers=36 ! video/x-raw,framerate=12/1 \
    ! identity drop-probability=0.1 ! framegrid framerate=25/1 \
    ! x264enc tune=zerolatency ! h264parse ! fakesink
