#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Sound and picture to one mp4 file, readable at any moment; the folder is shown at the end.
set -e
folder=$(mktemp -d)
gst-launch-1.0 -m experimentrecorder name=r folder="$folder" prefix=try \
  videotestsrc num-buffers=90 ! video/x-raw,format=I420,framerate=30/1 ! x264enc tune=zerolatency ! r.dry_video \
  audiotestsrc num-buffers=150 samplesperbuffer=960 ! opusenc ! r.dry_audio
ls -l "$folder"
