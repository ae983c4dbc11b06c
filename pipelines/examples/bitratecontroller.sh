#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Sets x264enc to 400 kbit/s and tells each second what really passes (-m prints the messages).
exec gst-launch-1.0 -m \
    videotestsrc is-live=true pattern=snow num-buffers=90 ! video/x-raw,width=320,height=240,framerate=30/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse \
    ! bitratecontroller bitrate=400000 ! fakesink
