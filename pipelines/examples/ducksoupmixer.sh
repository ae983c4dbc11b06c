#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Three tones, three participants: each receives the two others. Ends by itself after two seconds.
# Put the folder of libgstducksoup.so on GST_PLUGIN_PATH. `-v` shows the caps and SSRC of every route.
exec gst-launch-1.0 "$@" ducksoupmixer name=m \
    sink_0::participant=ann sink_1::participant=bob sink_2::participant=eve \
    src_0::receiver=ann src_1::receiver=ann src_2::receiver=bob src_3::receiver=bob src_4::receiver=eve src_5::receiver=eve \
    audiotestsrc is-live=true num-buffers=86 freq=440 ! opusenc ! rtpopuspay ! m.sink_0 \
    audiotestsrc is-live=true num-buffers=86 freq=1000 ! opusenc ! rtpopuspay ! m.sink_1 \
    audiotestsrc is-live=true num-buffers=86 freq=2300 ! opusenc ! rtpopuspay ! m.sink_2 \
    m.src_0 ! rtpopusdepay ! opusdec ! fakesink sync=false \
    m.src_1 ! rtpopusdepay ! opusdec ! fakesink sync=false \
    m.src_2 ! rtpopusdepay ! opusdec ! fakesink sync=false \
    m.src_3 ! rtpopusdepay ! opusdec ! fakesink sync=false \
    m.src_4 ! rtpopusdepay ! opusdec ! fakesink sync=false \
    m.src_5 ! rtpopusdepay ! opusdec ! fakesink sync=false
