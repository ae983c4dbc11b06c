#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A bot in a mirror that lowers its own voice when the interaction starts, and tells where its
recordings are: ducksouppeer.py ws://host:port/ws interaction"""
import sys
import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

Gst.init(None)
pipeline = Gst.parse_launch(
    "audiotestsrc is-live=true wave=saw ! ducksouppeer name=p videotestsrc is-live=true ! p.")
peer, loop = pipeline.get_by_name("p"), GLib.MainLoop()
options = {"uri": sys.argv[1], "interaction": sys.argv[2], "user": "bot", "size": 1, "duration": 5,
           "audio-fx": "pitch pitch=1.0 name=fx"}
for name, value in options.items():
    peer.get_property("signaller").set_property(name, value)
peer.connect("start", lambda peer, seconds: peer.emit("control-fx", "fx", "pitch", 0.8, 500, None))
peer.connect("files", lambda peer, files: print(files.to_string()))
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message::eos", lambda bus, message: loop.quit())
bus.connect("message::error", lambda bus, message: sys.exit(message.parse_error()[0].message))
pipeline.set_state(Gst.State.PLAYING)
loop.run()
pipeline.set_state(Gst.State.NULL)
