#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Dry and wet tracks each to a file of their own, zero being one second of running time.
set -e
folder=$(mktemp -d)
gst-launch-1.0 -m experimentrecorder name=r folder="$folder" prefix=try layout=split origin=1000000000 \
  videotestsrc num-buffers=90 ! video/x-raw,framerate=30/1 ! tee name=t \
  t. ! queue ! vp8enc deadline=1 keyframe-max-dist=30 ! r.dry_video \
  t. ! queue ! videobalance saturation=0 ! vp8enc deadline=1 keyframe-max-dist=30 ! r.wet_video \
  audiotestsrc num-buffers=150 samplesperbuffer=960 ! opusenc ! r.dry_audio
ls -l "$folder"
