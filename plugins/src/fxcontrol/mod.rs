// SPDX-License-Identifier: MPL-2.0

//! `fxcontrol` changes sound or pictures by a chain of effects, and moves the effects' properties
//! while media flows: at the media's own time, along ramps, on the record.
//!
//! ```sh
//! gst-launch-1.0 -m audiotestsrc num-buffers=200 ! fxcontrol \
//!   fx="volume name=fx volume=0.2" timeline="1 fx volume 1.0 2 exponential" ! autoaudiosink
//! ```
//!
//! - **The chain.** `fx` names one element, or several with `!` between them, each with
//!   `property=value`; `name=` is what commands call it (see [`Description`]). Empty lets media
//!   pass untouched. Converters around each effect hand everything through where neighbours agree,
//!   so any raw format goes in; what comes out is for the next element's caps to say.
//! - **Sound is unbroken** where it enters the effects: what strays from the count of samples by less than
//!   10 ms follows without a seam, a hole of up to 100 ms is filled with silence, and behind a longer
//!   one the effects begin anew. So an effect that keeps sound back gives it out at its own time, whatever a
//!   network lost, and never makes a pause up in a burst. Sound for a time that has its sound is dropped.
//! - **What may be an effect.** An element that takes raw audio in and gives raw audio out, or the
//!   same with video, and does nothing else: no bin, source, sink, codec, parser, network element
//!   or whatever takes anything. A property that names a file must name one in `folders`; one that
//!   names an address, a port or a device is refused. `allow` and `deny` are the operator's last
//!   word on elements. [`check`] gives the same answer before there is an element.
//! - **Commands.** The action signals `control` (a number, with a ramp), `control-text` (any
//!   type), `control-shaped` (a number along a [`FxControlShape`]) can be called from any thread at
//!   any time; they return nothing when the command is accepted, else the reason. A value outside
//!   the property's range is refused, not clamped. Types without a way between two values
//!   (booleans, enums, flags, texts) and properties that cannot be read step at once. A command
//!   starts with the next buffer, a line of the `timeline` at its own time. One ramp for each
//!   property: a new one goes on from the value reached.
//! - **When.** While a ramp moves, audio is cut into slices of `control-period`, and exactly at
//!   the start of a timeline's line and at the end of a ramp; the property is set before each
//!   slice. The value at time t is the ramp's at t to within one slice. Video is set at each frame.
//!   When nothing moves nothing is cut. There is no thread, no queue and no delay in any of this.
//!   Segments of a rate other than 1 are not cut. After a flush that resets time the timeline
//!   begins anew and ramps stop where they are.
//! - **`bypass`** is a sham: all media still goes through the effects and the commands still
//!   move them, so delay and load stay what they are; but the original comes out in the place of
//!   the effect's output. Original and output are matched by timestamp (audio to the sample), so
//!   an effect with a latency switches at the same instant of the media as one without. What an effect
//!   adds where nothing was kept (a tail behind the end) is silent. When effect and
//!   original have different caps and the next element's caps do not pin one, the caps change at the
//!   switch. Media without timestamps cannot be matched and stays the effect's.
//! - **Quality of service** events from downstream end here: no effect drops frames because a
//!   receiver is late. Latency queries pass.
//!
//! # Messages
//!
//! Element messages on the bus, in the order of a command's life. All have `command` (a number
//! that ties them together, `guint64`), `name`, `property` and `value` (strings; the value as a text that
//! `control-text` takes again); times are running times in ns (`guint64`).
//!
//! | message | when | further fields |
//! |---|---|---|
//! | `fxcontrol-accepted` | the signal is about to return nothing | `duration` (ns), `shape` |
//! | `fxcontrol-refused` | the signal is about to return a reason | `reason` |
//! | `fxcontrol-started` | it takes effect | `running-time`, `duration`, `shape`, `from` (string; absent without a number) |
//! | `fxcontrol-applied` | this value was set at this time: first, last, and every 100 ms between | `running-time` |
//! | `fxcontrol-finished` | the value is reached, or another command took over | `running-time`, `complete` (boolean) |
//!
//! `fxcontrol-bypass` (`bypass`, `running-time`) tells from which buffer on the sham holds. Commands
//! that wait for media and are overtaken by another one have no more than `fxcontrol-accepted`.
//! A file is told as the caller wrote it, never as a path of the server. What was applied, written
//! as lines of a `timeline`, does the same to a recording of the dry media.
//!
//! # Limits
//!
//! A property is set when its slice enters its effect: how fast the effect follows is its own
//! affair. Values in range that are known to crash an element (`audioecho max-delay` of years) are
//! refused; an element of unknown make may have others, and an operator who minds denies it.

mod chain;
mod description;
mod effects;
mod gate;
mod imp;
mod lexer;
mod meaning;
mod originals;
mod pads;
mod policy;
mod ramp;
mod report;
mod schedule;
mod sham;
mod slice;
mod target;
mod timeline;
mod unbroken;

pub use description::{Description, DescriptionError, Effect, MAX_EFFECTS, MAX_LENGTH, MAX_NAME};
pub use effects::{FxError, check};
pub use lexer::LexerError;
pub use policy::{ElementRefusal, MediaKind, Policy, PropertyRefusal};
pub use ramp::Shape as FxControlShape;
pub use target::{Input, TargetError};
pub use timeline::{TimelineError, TimelineFault};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::ObjectSubclassIsExt;

glib::wrapper! {
    /// The element. See the [module](self).
    pub struct FxControl(ObjectSubclass<imp::FxControl>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

impl FxControl {
    /// Whether one of the effects has this name.
    #[must_use]
    pub fn has_effect(&self, name: &str) -> bool {
        self.imp().has_effect(name)
    }

    /// What the action signals do, with the reason of a refusal typed. `duration` is in ns.
    /// Posts the same messages.
    ///
    /// # Errors
    /// When the command is refused.
    pub fn control(
        &self,
        name: &str,
        property: &str,
        value: Input<'_>,
        duration: u64,
        shape: FxControlShape,
    ) -> Result<(), FxError> {
        self.imp().control(&chain::Asked { name, property, input: value, duration, shape })
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "fxcontrol", gst::Rank::NONE, FxControl::static_type())
}
