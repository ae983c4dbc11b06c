// SPDX-License-Identifier: MPL-2.0

//! A participant without a browser: joins an interaction, sends what is linked to its sink pads and
//! gives what it receives on source pads. For bots, confederates, load and tests.
//!
//! - Joins when it goes to PAUSED, as the properties of its `signaller` say (`signaller::uri`,
//!   `signaller::interaction` and `signaller::user` are needed). What is not set is not sent, and the
//!   server's default holds. `signaller::origin` must be allowed by the server; it is the server's own
//!   unless set.
//! - `audio_sink` and `video_sink` take raw media, which are encoded here (pictures at the size and rate
//!   of the join), or what is encoded already in the format of the join. Live input is never held; input
//!   that is not live is played at the clock's pace. A server waits for a picture too, unless
//!   `signaller::audio-only` is set: whoever only watches sends a black one.
//! - `audio_src_%s` and `video_src_%s` are named after the user whose track it is, one's own in a
//!   mirror. They appear with the first packet and stay until READY, also while that user is away and
//!   through a reconnection. One that is not linked drops what it gets. `output` says what comes out.
//!   Link an encoded one in front of a muxer with its caps: `p.audio_src_bob ! audio/x-opus ! …`.
//! - What the server says is a signal, emitted on a thread of its own, and an element message of the
//!   same name with the prefix `ducksouppeer-` and the same fields: `joined` (`context`), `other-joined`
//!   and `other-left` (`user`, `stream-id`), `start` (`remaining`, in s), `ending`, `files` (`files`, a
//!   structure with an array of paths for each user), `end`, `control-refused` (`name`, `property`,
//!   `reason`), `refused` (`kind`, as `error-full`, and `text`).
//! - Actions: `control-fx` (name, property, value, duration in ms, user or NULL) and `poly-control-fx`
//!   (name, property, kind, value as text, user or NULL) move effects; `server-log` (kind, text) writes
//!   to the interaction's log; `stop` leaves; `reconnect` hangs up and joins again, with the same pads.
//! - An EOS event (`gst-launch-1.0 -e`), or EOS on all of its sink pads, says `stop`, closes the
//!   connection, sends EOS on the source pads and posts EOS. The server's `end` does so too, and the sink
//!   pads return EOS: a pipeline ends with its interaction.
//! - What goes wrong is one error on the bus: no server within `connect-timeout`, a server that does not
//!   admit, one that refuses (its `error-…` is in the text) or hangs up, an offer that cannot be used.
//!
//! A bot that talks:
//!
//! ```text
//! gst-launch-1.0 -e audiotestsrc is-live=true wave=ticks ! ducksouppeer name=p signaller::uri=ws://localhost:8100/ws signaller::interaction=demo signaller::user=bot  videotestsrc is-live=true pattern=ball ! p.
//! ```
//!
//! A watcher that records what Ada says and shows, and gives silence and a black picture:
//!
//! ```text
//! gst-launch-1.0 -e audiotestsrc is-live=true wave=silence ! ducksouppeer name=p signaller::uri=ws://localhost:8100/ws signaller::interaction=demo signaller::user=watcher  videotestsrc is-live=true pattern=black ! p.  p.audio_src_ada ! queue ! audioconvert ! wavenc ! filesink location=ada.wav  p.video_src_ada ! queue ! videoconvert ! vp8enc deadline=1 ! webmmux ! filesink location=ada.webm
//! ```
//!
//! A confederate who plays a file to the others, and leaves at its end:
//!
//! ```text
//! gst-launch-1.0 filesrc location=film.mp4 ! decodebin name=d  d. ! audioconvert ! ducksouppeer name=p signaller::uri=ws://localhost:8100/ws signaller::interaction=demo signaller::user=confederate  d. ! videoconvert ! p.
//! ```
//!
//! Limits: H.264 that comes encoded should have one slice a picture and no access unit delimiters
//! (`x264enc threads=1 aud=false`), as browsers send it: rtph264depay 1.22 at the other end takes
//! others' keyframes apart. A process that has also loaded libgstrswebrtc cannot use this element (both bring the same
//! interface type) and is told so in READY. webrtcbin 1.22 does not restart ICE: an offer that asks for
//! it is answered with the credentials of before. Sink pads must be requested before PAUSED. A sink
//! behind a source pad that never came never sees EOS, and `gst-launch-1.0 -e` waits for it.

use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

mod actions;
mod announcement;
mod call;
mod codec;
mod ice;
mod imp;
mod input;
mod participant;
mod promises;
mod receiving;
mod sending;

pub use receiving::Output;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "ducksouppeer",
        gst::DebugColorFlags::empty(),
        Some("A participant of a DuckSoup interaction"),
    )
});

glib::wrapper! {
    /// See the [page of the element](self).
    pub struct DuckSoupPeer(ObjectSubclass<imp::DuckSoupPeer>)
        @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "ducksouppeer",
        gst::Rank::NONE,
        DuckSoupPeer::static_type(),
    )
}
