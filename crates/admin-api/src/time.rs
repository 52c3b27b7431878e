//! A moment, to the second.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A moment. Its text and its JSON are RFC 3339 in UTC, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// This moment.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The moment so many seconds after 1970.
    pub fn at(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The moment that is so far from now.
    pub fn after(wait: Duration) -> Self {
        Self(Self::now().0.saturating_add(wait.as_secs()))
    }

    /// The moment so long ago.
    pub fn before(age: Duration) -> Self {
        Self(Self::now().0.saturating_sub(age.as_secs()))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// How long ago it is; zero for a moment to come.
    pub fn age(self) -> Duration {
        Duration::from_secs(Self::now().0.saturating_sub(self.0))
    }

    /// How far it is; zero for a moment that has been.
    pub fn wait(self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(Self::now().0))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last second of the year 9999 is the last one that RFC 3339 can write.
        let time = UNIX_EPOCH + Duration::from_secs(self.0.min(253_402_300_799));
        humantime::format_rfc3339_seconds(time).fmt(formatter)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(time.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_as_it_is_written() {
        for seconds in [0, 1_796_000_000, 253_402_300_799] {
            let text = serde_json::to_string(&Time(seconds)).unwrap();
            assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), Time(seconds));
        }
        assert_eq!(Time(1_796_000_000).to_string(), "2026-11-30T00:53:20Z");
        assert_eq!(Time(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }
}
