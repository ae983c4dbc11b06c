#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# One participant alone, in sound and picture, sees and hears themself. Ends by itself after two seconds.
# Put the folder of libgstducksoup.so on GST_PLUGIN_PATH.
exec gst-launch-1.0 "$@" ducksoupmixer name=m \
    sink_0::participant=ann sink_1::participant=ann \
    src_0::receiver=ann src_0::kind=audio src_1::receiver=ann src_1::kind=video \
    audiotestsrc is-live=true num-buffers=86 ! opusenc ! rtpopuspay ! m.sink_0 \
    videotestsrc is-live=true num-buffers=60 ! video/x-raw,width=320,height=240,framerate=30/1 ! vp8enc deadline=1 ! rtpvp8pay ! m.sink_1 \
    m.src_0 ! rtpopusdepay ! opusdec ! fakesink sync=false \
    m.src_1 ! rtpvp8depay ! vp8dec ! fakesink sync=false
