// SPDX-License-Identifier: MPL-2.0

//! What stands in which panel, and how it looks. What the browser says is drawn with crosses and
//! triangles, what the server measures with circles (README, "Plots"). Colours are those of Okabe and
//! Ito, which colour-blind people tell apart; nothing is told by colour alone.

use super::series::Quantity;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

const BLUE: Rgb = (0, 114, 178);
const ORANGE: Rgb = (230, 159, 0);
const VERMILION: Rgb = (213, 94, 0);
const GREEN: Rgb = (0, 158, 115);
const PURPLE: Rgb = (204, 121, 167);
const BLACK: Rgb = (40, 40, 40);

/// How a point looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Measured by the server.
    Circle,
    /// Said by the browser.
    Cross,
    /// Said by the browser, of its own encoder.
    Triangle,
    /// Only the line: nobody measured it.
    None,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// By a line, but not over a gap.
    Line,
    /// Each value holds until the next.
    Steps,
}

/// How a quantity is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Curve {
    /// What.
    pub quantity: Quantity,
    /// As the legend calls it.
    pub label: &'static str,
    /// Its colour.
    pub colour: Rgb,
    /// Its points.
    pub mark: Mark,
    /// Its line.
    pub join: Join,
}

/// What a panel's vertical axis is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Axis {
    /// Values from 0, to at least this.
    Values(f64),
    /// A row for each quantity: when it happened, whatever its value.
    Rows,
}

/// One of the stacked diagrams.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// Its title, with the unit.
    pub title: &'static str,
    /// Its vertical axis.
    pub axis: Axis,
    /// What stands in it.
    pub curves: &'static [Curve],
}

const fn line(quantity: Quantity, label: &'static str, colour: Rgb) -> Curve {
    Curve { quantity, label, colour, mark: Mark::Circle, join: Join::Line }
}

const fn client(quantity: Quantity, label: &'static str, colour: Rgb, mark: Mark) -> Curve {
    Curve { quantity, label, colour, mark, join: Join::Steps }
}

const fn target(quantity: Quantity, label: &'static str) -> Curve {
    Curve { quantity, label, colour: BLACK, mark: Mark::None, join: Join::Steps }
}

/// All panels, from top to bottom.
pub const PANELS: [Panel; 7] = [
    Panel {
        title: "Video bitrate (kbit/s)",
        axis: Axis::Values(100.0),
        curves: &[
            line(Quantity::VideoIn, "from the browser", BLUE),
            line(Quantity::VideoOut, "to the others", ORANGE),
            line(Quantity::VideoEstimate, "receivers can take", GREEN),
            target(Quantity::VideoTarget, "encoder's target"),
        ],
    },
    Panel {
        title: "Audio bitrate (kbit/s)",
        axis: Axis::Values(10.0),
        curves: &[
            line(Quantity::AudioIn, "from the browser", BLUE),
            line(Quantity::AudioOut, "to the others", ORANGE),
            target(Quantity::AudioTarget, "encoder's target"),
        ],
    },
    Panel {
        title: "Height of the browser's picture (px)",
        axis: Axis::Values(100.0),
        curves: &[client(Quantity::ClientHeight, "browser's encoder", BLUE, Mark::Cross)],
    },
    Panel {
        title: "Frame rate (frames/s)",
        axis: Axis::Values(10.0),
        curves: &[
            client(Quantity::ClientFramerate, "browser's encoder", BLUE, Mark::Cross),
            line(Quantity::FramesIn, "into the frame grid", GREEN),
            line(Quantity::FramesOut, "out of it", ORANGE),
            line(Quantity::FramesRepeated, "repeated in it", PURPLE),
        ],
    },
    Panel {
        title: "Keyframes and their requests",
        axis: Axis::Rows,
        curves: &[
            client(Quantity::ClientLossReports, "PLI, FIR: got by the browser", BLACK, Mark::Cross),
            line(Quantity::KeyframesAsked, "PLI, FIR: sent by the server", BLACK),
            line(Quantity::KeyframesWanted, "PLI, FIR: from the others", VERMILION),
            client(
                Quantity::ClientKeyframesEncoded,
                "keyframe: browser encoded",
                BLUE,
                Mark::Triangle,
            ),
            line(Quantity::KeyframesMade, "keyframe: sent to the others", ORANGE),
            client(
                Quantity::ClientKeyframesDecoded,
                "keyframe: browser decoded",
                GREEN,
                Mark::Cross,
            ),
        ],
    },
    Panel {
        title: "Packets lost or dropped (per s)",
        axis: Axis::Values(5.0),
        curves: &[
            line(Quantity::LostVideo, "video from the browser", BLUE),
            line(Quantity::LostAudio, "audio from the browser", GREEN),
            line(Quantity::LostBeyond, "on the way to the browser", VERMILION),
            line(Quantity::Dropped, "dropped by the server", PURPLE),
        ],
    },
    Panel {
        title: "Jitter and round trip (ms)",
        axis: Axis::Values(10.0),
        curves: &[
            line(Quantity::JitterVideo, "jitter, video in", BLUE),
            line(Quantity::JitterAudio, "jitter, audio in", GREEN),
            line(Quantity::RoundTrip, "round trip", VERMILION),
        ],
    },
];
