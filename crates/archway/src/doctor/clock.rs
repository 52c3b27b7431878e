//! How far our clock is from a registry's.

use std::time::{Duration, SystemTime};

use super::report::Finding;

/// The largest good difference: AWS refuses signatures whose time is further from its own.
const TOO_FAR: Duration = Duration::from_mins(5);

/// A smaller difference may come from a slow answer and the whole seconds of a `Date` header.
const WORTH_A_WORD: Duration = Duration::from_secs(30);

/// Compares a registry's time with ours.
pub(super) fn judge(theirs: Option<SystemTime>, ours: SystemTime) -> Finding {
    let Some(theirs) = theirs else {
        return Finding::skipped("it does not say what time it is");
    };
    let (skew, direction) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let detail = format!(
        "this machine is {} seconds {direction} the registry",
        skew.as_secs()
    );
    if skew > TOO_FAR {
        Finding::failed(format!("{detail}: signatures and certificates are refused"))
    } else if skew > WORTH_A_WORD {
        Finding::warning(detail)
    } else {
        Finding::ok(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::Status, *};

    #[test]
    fn the_skew_counts_in_both_directions() {
        let ours = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        for (seconds, status) in [
            (0, Status::Ok),
            (31, Status::Warning),
            (301, Status::Failed),
        ] {
            let skew = Duration::from_secs(seconds);
            for theirs in [ours + skew, ours - skew] {
                assert_eq!(judge(Some(theirs), ours).status, status, "{seconds}");
            }
        }
        assert_eq!(judge(None, ours).status, Status::Skipped);
    }
}
