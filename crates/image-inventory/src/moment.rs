//! A time in JSON, as RFC 3339 in UTC with whole seconds: what people read and every tool parses.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The last second of the year 9999, the latest that RFC 3339 can write.
const LAST: u64 = 253_402_300_799;

/// A time, in whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The time itself.
    pub fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.min(LAST))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}",
            humantime::format_rfc3339_seconds(self.time())
        )
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(Error::custom)?;
        Ok(time.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_text_that_reads_back_and_none_is_too_late_to_be_written() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
        let text = serde_json::to_string(&Moment::from(time)).unwrap();
        assert_eq!(text, "\"2023-11-14T22:13:20Z\"");
        let read: Moment = serde_json::from_str(&text).unwrap();
        assert_eq!(read, Moment::from(time));
        assert_eq!(Moment(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }
}
