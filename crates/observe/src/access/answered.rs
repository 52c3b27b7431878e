//! Where an answer came from, as the log and the metrics name it.

use http::StatusCode;
use pull::Outcome;

/// Where an answer came from: a closed set, since it labels metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Hit,
    Follow,
    Fill,
    Stale,
    Miss,
    /// Something was found, and it is none for this client: no platform of it fits, or no byte of it
    /// lies in the range asked for.
    Refused,
    /// Nothing was looked up, or nothing found.
    None,
}

impl Answered {
    pub(super) const COUNT: usize = 7;

    pub(super) fn of(outcome: Option<Outcome>, status: StatusCode) -> Self {
        match outcome {
            None => Self::None,
            Some(_) if status.is_client_error() => Self::Refused,
            Some(Outcome::Hit) => Self::Hit,
            Some(Outcome::Follow) => Self::Follow,
            Some(Outcome::Fill) => Self::Fill,
            Some(Outcome::Stale) => Self::Stale,
            Some(Outcome::Miss) => Self::Miss,
        }
    }

    /// The value of the label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => Outcome::Hit.as_str(),
            Self::Follow => Outcome::Follow.as_str(),
            Self::Fill => Outcome::Fill.as_str(),
            Self::Stale => Outcome::Stale.as_str(),
            Self::Miss => Outcome::Miss.as_str(),
            Self::Refused => "refused",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_hit() {
        let of = |outcome, status| Answered::of(outcome, status).as_str();
        assert_eq!(of(Some(Outcome::Hit), StatusCode::OK), "hit");
        assert_eq!(of(Some(Outcome::Hit), StatusCode::NOT_MODIFIED), "hit");
        assert_eq!(of(Some(Outcome::Hit), StatusCode::NOT_FOUND), "refused");
        assert_eq!(of(None, StatusCode::NOT_FOUND), "none");
    }
}
