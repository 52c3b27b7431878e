//! How often an upstream is asked, and how long a call may wait for its turn.

use std::{fmt, time::Duration};

use crate::{
    error::Problems,
    field::{Count, Field, Meaning, Wrong, or},
    print::Page,
    units::{self, Interval, Timeout},
};

const DEFAULT_PATIENCE: Interval = Interval(Duration::from_secs(20));
const MOST_CALLS: u32 = 1_000_000;

/// So many calls in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    calls: u32,
    per: Duration,
}

impl Rate {
    /// The time one call takes up; never zero.
    pub fn interval(self) -> Duration {
        (self.per / self.calls).max(Duration::from_nanos(1))
    }

    /// How many calls may go at once where the file does not say: a tenth of the rate, so that no stretch of its length sees
    /// more than a tenth above it.
    pub fn default_burst(self) -> u32 {
        (self.calls / 10).max(1)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = units::duration(self.per);
        let unit = per
            .strip_prefix('1')
            .filter(|rest| rest.bytes().all(|byte| byte.is_ascii_alphabetic()));
        write!(f, "{}/{}", self.calls, unit.unwrap_or(&per))
    }
}

impl Meaning for Rate {
    const WHAT: &'static str = "a number of calls and a time";
    const EXAMPLE: &'static str = "\"10/s\" or \"100/6h\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let Some((calls, per)) = text.split_once('/') else {
            return Err(Wrong::new("the time is missing"));
        };
        let calls = calls.trim().parse().ok();
        let Some(calls) = calls.filter(|calls| (1..=MOST_CALLS).contains(calls)) else {
            return Err(Wrong::new(format!(
                "from 1 to {MOST_CALLS} calls are possible"
            )));
        };
        let per = per.trim();
        let per = if per.starts_with(|char: char| char.is_ascii_alphabetic()) {
            format!("1{per}")
        } else {
            per.to_owned()
        };
        let Timeout(per) = Timeout::read(&per)?;
        Ok(Rate { calls, per })
    }
}

/// The bounds of what one upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// All calls together; `None` is no bound.
    pub rate: Option<Rate>,
    /// Calls for manifests, beside that.
    pub manifest_rate: Option<Rate>,
    /// Calls for blobs, beside that.
    pub blob_rate: Option<Rate>,
    /// How many calls may go at once; `None` is a tenth of each rate.
    pub burst: Option<u32>,
    /// The longest a call waits for its turn, and for an upstream that asks to wait; zero never waits.
    pub patience: Duration,
    /// After how long a manifest is asked for at the second endpoint too; `None` is never.
    pub hedge_after: Option<Duration>,
}

/// The keys as the file has them.
#[derive(Debug, Default)]
pub(super) struct RawLimits {
    pub(super) rate: Option<Field<Rate>>,
    pub(super) manifest_rate: Option<Field<Rate>>,
    pub(super) blob_rate: Option<Field<Rate>>,
    pub(super) burst: Option<Count>,
    pub(super) patience: Option<Field<Interval>>,
    pub(super) hedge_after: Option<Field<Timeout>>,
}

impl RawLimits {
    pub(super) fn resolve(self, problems: &mut Problems) -> Limits {
        let mut rate = |field: Option<Field<Rate>>, key| field?.take(key, problems);
        let (rate, manifest_rate, blob_rate) = (
            rate(self.rate, "rate"),
            rate(self.manifest_rate, "manifest_rate"),
            rate(self.blob_rate, "blob_rate"),
        );
        let most = MOST_CALLS as usize;
        let burst = self
            .burst
            .and_then(|burst| burst.take("burst", 1..=most, problems));
        let hedge_after = self
            .hedge_after
            .and_then(|field| field.take("hedge_after", problems));
        Limits {
            rate,
            manifest_rate,
            blob_rate,
            burst: burst.and_then(|burst| u32::try_from(burst).ok()),
            patience: or(self.patience, "patience", DEFAULT_PATIENCE, problems).0,
            hedge_after: hedge_after.map(|Timeout(after)| after),
        }
    }
}

impl Limits {
    pub(super) fn print(&self, page: &mut Page) {
        for (key, rate) in [
            ("rate", self.rate),
            ("manifest_rate", self.manifest_rate),
            ("blob_rate", self.blob_rate),
        ] {
            if let Some(rate) = rate {
                page.string(key, &rate.to_string());
            }
        }
        if let Some(burst) = self.burst {
            page.raw("burst", burst);
        }
        page.duration("patience", self.patience);
        if let Some(after) = self.hedge_after {
            page.duration("hedge_after", after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        for (text, millis) in [
            ("5/s", 200),
            ("5/1s", 200),
            ("100/6h", 216_000),
            ("30 / 1m", 2000),
        ] {
            let rate = Rate::read(text).unwrap();
            assert_eq!(rate.interval(), Duration::from_millis(millis), "{text}");
            assert_eq!(Rate::read(&rate.to_string()).unwrap(), rate);
        }
        for text in [
            "",
            "5",
            "5/",
            "0/s",
            "-1/s",
            "5/0s",
            "5/apples",
            "1000001/s",
        ] {
            assert!(Rate::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_prints_as_one_writes_it() {
        assert_eq!(Rate::read("5/1s").unwrap().to_string(), "5/s");
        assert_eq!(Rate::read("100/6h").unwrap().to_string(), "100/6h");
    }
}
