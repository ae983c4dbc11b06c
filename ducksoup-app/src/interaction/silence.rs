// SPDX-License-Identifier: MPL-2.0

//! What of a participant is silent while the interaction runs, and until when that is borne. Pure.
//!
//! | | socket lost | media lost | media back |
//! |---|---|---|---|
//! | nothing is | socket | media | – |
//! | socket | – | both | – |
//! | media | both | – | nothing is |
//! | both | – | – | socket |
//!
//! What is silent first sets the limit; what follows does not prolong it. A socket never comes back:
//! its participant comes by another one.

use std::time::Duration;

/// See the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Silence {
    /// All is well.
    #[default]
    None,
    /// The WebSocket is gone, without a farewell.
    Socket { until: Duration },
    /// The connection for media is.
    Media { until: Duration },
    /// Both are.
    Both { until: Duration },
}

impl Silence {
    /// The socket is gone; when nothing else is, that is borne until then.
    pub(super) fn without_socket(self, limit: Duration) -> Self {
        match self {
            Self::None => Self::Socket { until: limit },
            Self::Media { until } => Self::Both { until },
            Self::Socket { .. } | Self::Both { .. } => self,
        }
    }

    /// The connection for media is gone; when nothing else is, that is borne until then.
    pub(super) fn without_media(self, limit: Duration) -> Self {
        match self {
            Self::None => Self::Media { until: limit },
            Self::Socket { until } => Self::Both { until },
            Self::Media { .. } | Self::Both { .. } => self,
        }
    }

    /// Media come again.
    pub(super) fn with_media(self) -> Self {
        match self {
            Self::None | Self::Media { .. } => Self::None,
            Self::Socket { until } | Self::Both { until } => Self::Socket { until },
        }
    }

    /// Until when it is borne.
    pub(super) fn until(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Socket { until } | Self::Media { until } | Self::Both { until } => Some(until),
        }
    }

    /// Whether nothing can be said to the participant.
    pub(super) fn is_deaf(self) -> bool {
        matches!(self, Self::Socket { .. } | Self::Both { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::Silence::{Both, Media, None, Socket};
    use super::*;

    #[test]
    fn every_cell_of_the_table_does_what_it_says() {
        let until = Duration::from_secs(30);
        let later = Duration::from_secs(40);
        for (from, without_socket, without_media, with_media) in [
            (None, Socket { until: later }, Media { until: later }, None),
            (Socket { until }, Socket { until }, Both { until }, Socket { until }),
            (Media { until }, Both { until }, Media { until }, None),
            (Both { until }, Both { until }, Both { until }, Socket { until }),
        ] {
            assert_eq!(from.without_socket(later), without_socket, "{from:?}");
            assert_eq!(from.without_media(later), without_media, "{from:?}");
            assert_eq!(from.with_media(), with_media, "{from:?}");
        }
    }
}
