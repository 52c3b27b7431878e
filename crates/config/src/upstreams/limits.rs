//! How often an upstream is asked, and how long a call may wait for its turn.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    meaning::{Meaning, Wrong},
    show,
    table::Table,
    units::{self, Interval, Timeout},
};

const DEFAULT_PATIENCE: Interval = Interval(Duration::from_secs(15));
/// Few clients list tags, and no pull needs it: a script that lists all repositories must not make
/// the upstream limit everybody else.
const DEFAULT_LIST_RATE: Rate = Rate {
    calls: 10,
    per: Duration::from_secs(1),
};
const MAX_CALLS: u32 = 1_000_000;

/// A number of calls within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    calls: u32,
    per: Duration,
}

impl Rate {
    /// The time one call takes up; never zero.
    pub fn interval(self) -> Duration {
        (self.per / self.calls).max(Duration::from_nanos(1))
    }

    /// The number of calls.
    pub fn calls(self) -> u32 {
        self.calls
    }

    /// How many calls may go at once by default: a tenth of the rate, so that no stretch of its
    /// length sees more than a tenth above it.
    pub fn default_burst(self) -> u32 {
        (self.calls / 10).max(1)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = units::duration(self.per);
        let unit = per
            .strip_prefix('1')
            .filter(|rest| rest.bytes().all(|byte| byte.is_ascii_alphabetic()));
        write!(formatter, "{}/{}", self.calls, unit.unwrap_or(&per))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
        let Some(calls) = calls.filter(|calls| (1..=MAX_CALLS).contains(calls)) else {
            return Err(Wrong::new(format!(
                "from 1 to {MAX_CALLS} calls are possible"
            )));
        };
        let per = per.trim();
        let per = if per.starts_with(|char: char| char.is_ascii_alphabetic()) {
            format!("1{per}")
        } else {
            per.to_owned()
        };
        let Timeout(per) = Timeout::read(&per)?;
        Ok(Self { calls, per })
    }
}

/// The bounds of the calls to one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// All calls together; `None` is no bound.
    pub rate: Option<Rate>,
    /// Calls for manifests, beside that.
    pub manifest_rate: Option<Rate>,
    /// Calls for blobs, beside that.
    pub blob_rate: Option<Rate>,
    /// Calls for tags and referrers, beside that.
    pub list_rate: Rate,
    /// How many calls may go at once; `None` is a tenth of each rate, and all of `list_rate`.
    pub burst: Option<u32>,
    /// The longest a call waits for its turn, or for an upstream that asks to wait; zero never
    /// waits.
    #[serde(serialize_with = "show::duration")]
    pub patience: Duration,
    /// The time after which a manifest is requested from the second endpoint too; `None` is never.
    #[serde(serialize_with = "show::optional_duration")]
    pub hedge_after: Option<Duration>,
}

impl Limits {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let rate = table.take("rate");
        let manifest_rate = table.take("manifest_rate");
        let blob_rate = table.take("blob_rate");
        let list_rate = table.or("list_rate", DEFAULT_LIST_RATE);
        let burst = table.optional_count("burst", 1..=MAX_CALLS as usize);
        Self {
            rate,
            manifest_rate,
            blob_rate,
            list_rate,
            burst: burst.and_then(|burst| u32::try_from(burst).ok()),
            patience: table.or("patience", DEFAULT_PATIENCE).0,
            hedge_after: table.take("hedge_after").map(|Timeout(after)| after),
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
