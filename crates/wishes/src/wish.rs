//! One wish, and the list as it is shown: a line of text, or JSON.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use manifest_model::Platform;
use protocol::{
    image_list::ListedImage,
    image_name::{ImageName, NameError},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An image that was asked for, and is not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Wish {
    /// Its full name, and the platform that it was wanted for, where that is known.
    pub image: ListedImage,
    /// How often it was asked for.
    pub times: u64,
    /// When it was first asked for, in seconds since 1970.
    pub first: u64,
    /// When it was last asked for, in seconds since 1970.
    pub last: u64,
}

/// All wishes, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishList {
    /// The wishes.
    pub wishes: Vec<Wish>,
}

/// A wish as JSON has it.
#[derive(Serialize, Deserialize)]
struct Written {
    image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    times: u64,
    first: Second,
    last: Second,
}

/// A time as JSON has it: RFC 3339 in UTC.
struct Second(u64);

impl Serialize for Second {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_seconds(time(self.0)))
    }
}

impl<'de> Deserialize<'de> for Second {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(seconds(time)))
    }
}

/// Why JSON is no wish.
#[derive(Debug, thiserror::Error)]
enum WishError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Platform(#[from] manifest_model::ParseError),
}

impl From<Wish> for Written {
    fn from(wish: Wish) -> Self {
        Self {
            image: wish.image.name.to_string(),
            platform: wish.image.platform.map(|platform| platform.to_string()),
            times: wish.times,
            first: Second(wish.first),
            last: Second(wish.last),
        }
    }
}

impl TryFrom<Written> for Wish {
    type Error = WishError;

    fn try_from(written: Written) -> Result<Self, WishError> {
        let name: ImageName = written.image.parse()?;
        let platform = written.platform.as_deref().map(str::parse::<Platform>);
        Ok(Self {
            image: ListedImage {
                name,
                platform: platform.transpose()?,
            },
            times: written.times,
            first: written.first.0,
            last: written.last.0,
        })
    }
}

impl fmt::Display for Wish {
    /// A line of a list of images: the rest of it is a comment.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.times == 1 { "time" } else { "times" };
        let (image, count, day) = (&self.image, self.times, day(self.last));
        write!(formatter, "{image}  # {count} {times}, last {day}")
    }
}

impl fmt::Display for WishList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wishes
            .iter()
            .try_for_each(|wish| writeln!(formatter, "{wish}"))
    }
}

/// The last second of the year 9999: what a day is written for.
const LAST_SECOND: u64 = 253_402_300_799;

/// The day in UTC.
fn day(seconds: u64) -> String {
    let text = humantime::format_rfc3339_seconds(time(seconds)).to_string();
    text.chars().take("2026-11-27".len()).collect()
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND))
}

/// Whole seconds since 1970; zero for an earlier time.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use protocol::image_list;

    use super::*;

    fn wish(line: &str, times: u64, last: u64) -> Wish {
        let image = line.parse().unwrap();
        Wish {
            image,
            times,
            first: 7,
            last,
        }
    }

    #[test]
    fn a_list_is_text_that_reads_as_a_list_of_images_and_json_that_reads_back() {
        let list = WishList {
            wishes: vec![
                wish(
                    "docker.io/library/nginx:1.27 linux/arm64",
                    41,
                    1_795_737_600,
                ),
                wish("quay.io/a/b:v1", 1, LAST_SECOND),
            ],
        };
        let text = "docker.io/library/nginx:1.27 linux/arm64  # 41 times, last 2026-11-27\n\
                    quay.io/a/b:v1  # 1 time, last 9999-12-31\n";
        assert_eq!(list.to_string(), text);
        let images: Vec<_> = list.wishes.iter().map(|wish| wish.image.clone()).collect();
        assert_eq!(image_list::parse(text).unwrap(), images);
        let json = serde_json::to_string(&list).unwrap();
        assert!(json.contains(
            r#""image":"docker.io/library/nginx:1.27","platform":"linux/arm64","times":41"#
        ));
        assert_eq!(serde_json::from_str::<WishList>(&json).unwrap(), list);
    }
}
