//! What `GET /_archway/v1/stream` sends.

use std::{fmt, str::FromStr};

/// A topic of the stream. Each event of the stream has the name of its topic, and one line of JSON as
/// data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// [`Overview`](crate::Overview), whole, when it has changed.
    Overview,
    /// [`Fills`](crate::Fills), whole, when they have changed: each second while any runs.
    Fills,
    /// [`Events`](crate::Events): at first the latest, then those that came since.
    Events,
}

/// A topic that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTopic;

impl Topic {
    /// All topics.
    pub const ALL: [Self; 3] = [Self::Overview, Self::Fills, Self::Events];

    /// Its name in the parameter `topics`, and in the stream.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Fills => "fills",
            Self::Events => "events",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        let mut all = Self::ALL.into_iter();
        all.find(|topic| topic.as_str() == text).ok_or(UnknownTopic)
    }
}

impl fmt::Display for UnknownTopic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("unknown topic; use overview, fills or events")
    }
}

impl std::error::Error for UnknownTopic {}
