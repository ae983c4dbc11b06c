// SPDX-License-Identifier: MPL-2.0

//! A process in which another library has brought gst-plugin-webrtc's interface type.

#![allow(clippy::unwrap_used)]

use gst::glib;
use gst::glib::subclass::prelude::*;
use gst::prelude::*;

/// Any type of that name will do.
mod other {
    use super::*;

    #[derive(Default)]
    pub(super) struct Signallable;

    #[glib::object_subclass]
    impl ObjectSubclass for Signallable {
        const NAME: &'static str = "GstRSWebRTCSignallableIface";
        type Type = super::Signallable;
    }

    impl ObjectImpl for Signallable {}
}

glib::wrapper! {
    struct Signallable(ObjectSubclass<other::Signallable>);
}

#[test]
fn a_second_copy_of_the_signallers_interface_is_an_error_that_says_so() {
    gst::init().unwrap();
    ducksoup_signaller::plugin_register_static().unwrap();
    Signallable::static_type();
    let peer = gst::ElementFactory::make("ducksouppeer").build().unwrap();
    assert!(peer.property::<Option<gst::Object>>("signaller").is_none());
    let pipeline = gst::Pipeline::new();
    pipeline.add(&peer).unwrap();
    assert!(pipeline.set_state(gst::State::Ready).is_err());
    let bus = pipeline.bus().unwrap();
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let error = error.error();
    assert!(error.message().contains("take one of them away from GST_PLUGIN_PATH"), "{error}");
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    pipeline.set_state(gst::State::Null).unwrap();
}
