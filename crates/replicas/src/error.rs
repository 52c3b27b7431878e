//! Why another replica did not give what it was asked for.

use std::time::Duration;

use http::StatusCode;

/// Why another replica did not give what it was asked for. None of it is an answer to a client: the
/// next in rank is asked, and the upstream at last.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection, or it broke.
    #[error("the replica {member} could not be reached, or broke off")]
    Unreached {
        /// Its address.
        member: String,
        /// The transport's error, without the URL.
        source: reqwest::Error,
    },
    /// It says nothing at all.
    #[error("the replica {member} hangs: no byte, and no answer to a greeting")]
    Hung {
        /// Its address.
        member: String,
    },
    /// It is there, and has nothing yet.
    #[error("the replica {member} had nothing to send for {waited:?}")]
    Slow {
        /// Its address.
        member: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It ends, and takes nothing new.
    #[error("the replica {member} is about to end")]
    Leaving {
        /// Its address.
        member: String,
    },
    /// It does not take this one for a replica.
    #[error(
        "the replica {member} refuses this one: its secret is another one, a clock is wrong, or the lists \
         of members differ"
    )]
    Stranger {
        /// Its address.
        member: String,
    },
    /// It does not have it, or did not get it.
    #[error("the replica {member} answered {status}")]
    Refused {
        /// Its address.
        member: String,
        /// The status.
        status: StatusCode,
    },
    /// Its answer cannot be right, or is not proved to be its own.
    #[error("the replica {member} gave an answer that cannot be right: {what}")]
    Wrong {
        /// Its address.
        member: String,
        /// The fault.
        what: &'static str,
    },
}

impl PeerError {
    /// Whether it is not worth asking for a while.
    pub(crate) fn is_of_the_member(&self) -> bool {
        match self {
            Self::Unreached { .. }
            | Self::Hung { .. }
            | Self::Leaving { .. }
            | Self::Stranger { .. }
            | Self::Wrong { .. } => true,
            Self::Slow { .. } | Self::Refused { .. } => false,
        }
    }

    /// The value of a metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Unreached { .. } => "unreached",
            Self::Hung { .. } => "hung",
            Self::Slow { .. } => "slow",
            Self::Leaving { .. } => "leaving",
            Self::Stranger { .. } | Self::Refused { .. } => "refused",
            Self::Wrong { .. } => "wrong",
        }
    }
}
