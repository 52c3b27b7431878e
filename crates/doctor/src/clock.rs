//! The difference between our clock and a registry's.

use std::time::{Duration, SystemTime};

use super::report::Finding;

/// AWS refuses signatures that differ from its own time by more.
const MAX_SKEW: Duration = Duration::from_mins(5);

/// The skew to warn about: more than a slow answer and the whole seconds of a `Date` header
/// explain.
const SKEW_WARNING: Duration = Duration::from_secs(30);

const NTP: &str = "have the clock set by NTP: timedatectl set-ntp true";

/// Compares the `Date` of a registry with our time.
pub(super) fn judge(theirs: Option<SystemTime>, ours: SystemTime) -> Finding {
    let Some(theirs) = theirs else {
        return Finding::skipped("the registry sends no Date header");
    };
    let (skew, direction) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let skewed = humantime::format_duration(Duration::from_secs(skew.as_secs()));
    let detail = format!("this machine is {skewed} {direction} the registry");
    if skew > MAX_SKEW {
        let failed = Finding::failed(format!("{detail}; signed requests and certificates fail"));
        failed.fix(NTP)
    } else if skew > SKEW_WARNING {
        Finding::warning(detail).fix(NTP)
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
