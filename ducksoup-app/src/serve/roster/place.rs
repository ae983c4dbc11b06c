// SPDX-License-Identifier: MPL-2.0

//! What the roster remembers of a run and of a client.

use super::Stage;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::{ClientMessage, IceServer, Identifier, JoinOptions};
use serde_json::{Map, Value};
use std::time::Instant;

/// A client that asks to join.
#[derive(Debug, Clone)]
pub(crate) struct Newcomer {
    /// Its socket.
    pub(crate) connection: Connection,
    /// The page's origin.
    pub(crate) origin: String,
    /// What it asks for.
    pub(crate) options: Box<JoinOptions>,
    /// What it is told besides what all are.
    pub(crate) ice_servers: Vec<IceServer>,
}

/// What makes two joins meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) origin: String,
    pub(super) namespace: Identifier,
    pub(super) interaction: Identifier,
}

#[derive(Debug)]
pub(super) enum Phase {
    Opening { until: Instant },
    Open,
    Over { until: Option<Instant> },
    Killed,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) key: Key,
    pub(super) id: Identifier,
    pub(super) phase: Phase,
    pub(super) stats: Map<String, Value>,
}

#[derive(Debug)]
pub(super) enum Place {
    Waiting { newcomer: Newcomer, behind: Connection, until: Instant, held: Vec<ClientMessage> },
    Seated { stage: Stage, newcomer: Newcomer },
    Leaving { stage: Stage },
}

impl Newcomer {
    pub(super) fn key(&self) -> Key {
        Key {
            origin: self.origin.clone(),
            namespace: self.options.namespace.clone(),
            interaction: self.options.interaction.clone(),
        }
    }
}

impl Run {
    pub(super) fn takes_joins(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. } | Phase::Open)
    }
}

impl Phase {
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Opening { until } => Some(*until),
            Self::Over { until } => *until,
            Self::Open | Self::Killed => None,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Opening { .. } => "opening",
            Self::Open => "open",
            Self::Over { .. } => "over",
            Self::Killed => "killed",
        }
    }
}

impl Place {
    pub(super) fn stage(&self) -> Option<Stage> {
        match self {
            Self::Seated { stage, .. } | Self::Leaving { stage } => Some(*stage),
            Self::Waiting { .. } => None,
        }
    }
}
