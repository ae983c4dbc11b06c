// SPDX-License-Identifier: MPL-2.0

//! Tests of `ducksoupmixer`.
//!
//! | module | shows |
//! |---|---|
//! | `tones` | who hears whom, by what they hear |
//! | `pictures` | late receivers begin on a keyframe, with real encoders |
//! | `packets` | announcements, rewriting, the end |
//! | `requests` | keyframe requests and estimates on their way up |
//! | `containment` | receivers that block, fail or leave cost the others nothing |
//! | `cost` | what a packet costs (printed) |

#![allow(clippy::unwrap_used)]

#[path = "ducksoupmixer/containment.rs"]
mod containment;
#[path = "ducksoupmixer/cost.rs"]
mod cost;
#[path = "ducksoupmixer/packets.rs"]
mod packets;
#[path = "ducksoupmixer/pictures.rs"]
mod pictures;
#[path = "ducksoupmixer/requests.rs"]
mod requests;
#[path = "ducksoupmixer/rig.rs"]
mod rig;
#[path = "ducksoupmixer/tones.rs"]
mod tones;
