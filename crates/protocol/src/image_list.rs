//! Lists of images as files hold them: a line names an image and, where it is for one platform alone,
//! that platform. `archway wanted` writes them; `archway warm` and `archway bundle export` read them.
//!
//! ```text
//! # what the site asked for
//! docker.io/library/nginx:1.27 linux/arm64  # 41 times, last 2026-11-27
//! quay.io/team/app@sha256:...
//! ```

use std::{fmt, str::FromStr};

use manifest_model::{ParseError, Platform};

use crate::image_name::{ImageName, NameError};

/// What begins a comment, which no name and no platform contains.
const COMMENT: char = '#';

/// An image of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// Its name.
    pub name: ImageName,
    /// The platform that it is listed for; `None` leaves that to the reader of the list.
    pub platform: Option<Platform>,
}

/// Why a line is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The platform is malformed.
    #[error(transparent)]
    Platform(#[from] ParseError),
    /// There is more than a name and a platform.
    #[error("a line has one name and at most one platform; a comment begins with `{COMMENT}`")]
    Excess,
    /// There is nothing.
    #[error("there is no name")]
    Nothing,
}

/// The first line of a list that is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}")]
pub struct ListError {
    /// Its number; the first is 1.
    pub line: usize,
    /// Its fault.
    pub source: LineError,
}

/// The images of a list, in their order. Comments and empty lines are left out.
pub fn parse(text: &str) -> Result<Vec<ListedImage>, ListError> {
    // Editors of some systems begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut images = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        match content.parse() {
            Ok(image) => images.push(image),
            Err(LineError::Nothing) => {}
            Err(source) => return Err(ListError { line, source }),
        }
    }
    Ok(images)
}

impl FromStr for ListedImage {
    type Err = LineError;

    /// Reads one line, with or without a comment.
    fn from_str(line: &str) -> Result<Self, LineError> {
        let content = line.split(COMMENT).next().unwrap_or_default();
        let mut words = content.split_whitespace();
        let (name, platform) = (words.next(), words.next());
        let name = name.ok_or(LineError::Nothing)?;
        if words.next().is_some() {
            return Err(LineError::Excess);
        }
        Ok(Self {
            name: name.parse()?,
            platform: platform.map(str::parse).transpose()?,
        })
    }
}

impl fmt::Display for ListedImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.name)?;
        match &self.platform {
            Some(platform) => write!(formatter, " {platform}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let images = parse(text).unwrap().into_iter();
        images.map(|image| image.to_string()).collect()
    }

    #[test]
    fn a_line_is_a_name_a_platform_if_it_says_one_and_a_comment() {
        let text = "\u{feff}# all of it\r\n\
                    hello\r\n\
                    \n\
                    \tdocker.io/library/nginx:1.27   linux/arm64  # 41 times, last 2026-11-27\n\
                    quay.io/a/b:v1#no space\n\
                    a windows(10.0.20348)/amd64";
        let expected = [
            "hello:latest",
            "docker.io/library/nginx:1.27 linux/arm64",
            "quay.io/a/b:v1",
            "a:latest windows(10.0.20348)/amd64",
        ];
        assert_eq!(lines(text), expected);
        assert!(lines("# nothing\n\n").is_empty());
    }

    #[test]
    fn the_first_line_that_is_no_image_is_named() {
        for (text, line, fault) in [
            (
                "hello\na b c",
                2,
                "a line has one name and at most one platform",
            ),
            (
                "hello linux/amd64 linux/arm64",
                1,
                "a line has one name and",
            ),
            ("# x\n\nHello", 3, "repository"),
            ("hello linux/", 1, "platform"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.source.to_string().contains(fault), "{}", error.source);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_way_to_a_panic_and_what_is_read_is_written_as_it_reads(text in any::<String>()) {
            if let Ok(images) = parse(&text) {
                let written: Vec<_> = images.iter().map(|image| format!("{image}  # x")).collect();
                prop_assert_eq!(parse(&written.join("\n")).unwrap(), images);
            }
        }

        #[test]
        fn every_name_and_platform_reads_back(
            host in prop_oneof![Just(String::new()), "[a-z]{1,9}\\.[a-z]{2,5}(:[1-9][0-9]{0,3})?/"],
            repository in "[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,2}",
            tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}",
            platform in prop_oneof![Just(""), Just(" linux/arm64"), Just(" linux/arm/v7"), Just("\tlinux(+erofs)/amd64")],
            comment in "[^\\r\\n]{0,40}",
        ) {
            let line = format!(" {host}{repository}:{tag}{platform} #{comment}");
            let read: ListedImage = line.parse().unwrap();
            prop_assert_eq!(read.to_string().parse::<ListedImage>().unwrap(), read.clone());
            prop_assert_eq!(read.platform.is_some(), !platform.is_empty());
        }
    }
}
