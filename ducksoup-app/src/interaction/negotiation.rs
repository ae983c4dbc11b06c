// SPDX-License-Identifier: MPL-2.0

//! One offer at a time: when a new one may be made, and that none is forgotten.
//!
//! | input \ state | idle | creating | offered |
//! |---|---|---|---|
//! | want | create → creating | again | again |
//! | made | – | → offered | – |
//! | answered | – | – | again? create → creating : → idle |

/// Where the negotiation with one peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Negotiation {
    /// Nothing is under way.
    #[default]
    Idle,
    /// An offer is being made; `again` asks for another one after it.
    Creating {
        /// Something changed meanwhile.
        again: bool,
    },
    /// The offer is with the client.
    Offered {
        /// Something changed meanwhile.
        again: bool,
    },
}

/// Whether an offer must be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make one.
    CreateOffer,
    /// Nothing to do.
    Wait,
}

impl Negotiation {
    /// Something changed that the client must be told.
    pub fn want(&mut self) -> Step {
        match self {
            Self::Idle => {
                *self = Self::Creating { again: false };
                return Step::CreateOffer;
            }
            Self::Creating { again } | Self::Offered { again } => *again = true,
        }
        Step::Wait
    }

    /// The offer is made and goes out.
    pub fn made(&mut self) {
        if let Self::Creating { again } = *self {
            *self = Self::Offered { again };
        }
    }

    /// The client has answered.
    pub fn answered(&mut self) -> Step {
        match *self {
            Self::Offered { again } => {
                *self = Self::Idle;
                if again { self.want() } else { Step::Wait }
            }
            Self::Idle | Self::Creating { .. } => Step::Wait,
        }
    }

    /// Whether an answer is expected.
    #[must_use]
    pub fn awaits_answer(self) -> bool {
        matches!(self, Self::Offered { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        let states = [
            Negotiation::Idle,
            Negotiation::Creating { again: false },
            Negotiation::Creating { again: true },
            Negotiation::Offered { again: false },
            Negotiation::Offered { again: true },
        ];
        let [idle, creating, creating_again, offered, offered_again] = states;
        for (state, next, step) in [
            (idle, creating, Step::CreateOffer),
            (creating, creating_again, Step::Wait),
            (creating_again, creating_again, Step::Wait),
            (offered, offered_again, Step::Wait),
            (offered_again, offered_again, Step::Wait),
        ] {
            let mut negotiation = state;
            assert_eq!((negotiation.want(), negotiation), (step, next), "want in {state:?}");
        }
        for (state, next) in [
            (idle, idle),
            (creating, offered),
            (creating_again, offered_again),
            (offered, offered),
            (offered_again, offered_again),
        ] {
            let mut negotiation = state;
            negotiation.made();
            assert_eq!(negotiation, next, "made in {state:?}");
        }
        for (state, next, step) in [
            (idle, idle, Step::Wait),
            (creating, creating, Step::Wait),
            (creating_again, creating_again, Step::Wait),
            (offered, idle, Step::Wait),
            (offered_again, creating, Step::CreateOffer),
        ] {
            let mut negotiation = state;
            assert_eq!(
                (negotiation.answered(), negotiation),
                (step, next),
                "answered in {state:?}"
            );
        }
    }
}
