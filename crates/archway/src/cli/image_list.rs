//! The images of a command: named one by one, or listed in a file.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use manifest_model::{ParseError, Platform};
use protocol::{
    image_list::{self, ListError, ListedImage},
    image_name::ImageName,
};

/// The images of a command.
#[derive(Debug, Args)]
pub(super) struct ImageList {
    #[arg(
        help = "Images: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF",
        required_unless_present = "from_file"
    )]
    images: Vec<ImageName>,
    /// File with more images, one a line, each with its platform if it is for one alone; `#` starts a
    /// comment, `-` is standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

/// Why a file that lists images cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageListError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} lists something that is no image", path.display())]
    Name { path: PathBuf, source: ListError },
    #[error("{name} is for no platform: name it in the list, or with --platform")]
    NoPlatform { name: ImageName },
    #[error("no image is listed: name one, or list some in the file")]
    Empty,
}

/// The platforms that an image is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Platforms {
    All,
    These(Vec<Platform>),
}

impl Platforms {
    /// As a list, in which none means all of them.
    pub(super) fn as_slice(&self) -> &[Platform] {
        match self {
            Self::All => &[],
            Self::These(platforms) => platforms,
        }
    }

    /// The platforms of a command's flags; `None` where there are none.
    pub(super) fn of_flags(flags: &[Self]) -> Option<Self> {
        (!flags.is_empty()).then(|| Self::together(flags))
    }

    fn add(&mut self, more: &Self) {
        match (&mut *self, more) {
            (Self::These(platforms), Self::These(more)) => {
                for platform in more {
                    if !platforms.contains(platform) {
                        platforms.push(platform.clone());
                    }
                }
            }
            _ => *self = Self::All,
        }
    }

    /// Those of all of these together; of none, none.
    pub(super) fn together<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut together = Self::These(Vec::new());
        all.into_iter()
            .for_each(|platforms| together.add(platforms));
        together
    }
}

impl FromStr for Platforms {
    type Err = ParseError;

    /// `all`, or one platform.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Ok(match text {
            "all" => Self::All,
            text => Self::These(vec![text.parse()?]),
        })
    }
}

impl ImageList {
    /// A list of a command with flags of its own for it.
    pub(super) fn new(images: Vec<ImageName>, from_file: Option<PathBuf>) -> Self {
        Self { images, from_file }
    }

    /// The images of the command line, then those of the file, each once and with the platforms it is
    /// wanted for: those of its lines, and `default` where one of them has none. Without that it is an
    /// error.
    pub(super) fn for_platforms(
        &self,
        default: Option<&Platforms>,
    ) -> Result<Vec<(ImageName, Platforms)>, ImageListError> {
        let mut images: Vec<(ImageName, Platforms)> = Vec::new();
        for ListedImage { name, platform } in self.all()? {
            let wanted = match (platform, default) {
                (Some(platform), _) => Platforms::These(vec![platform]),
                (None, Some(default)) => default.clone(),
                (None, None) => return Err(ImageListError::NoPlatform { name }),
            };
            match images.iter_mut().find(|(known, _)| *known == name) {
                Some((_, platforms)) => platforms.add(&wanted),
                None => images.push((name, wanted)),
            }
        }
        Ok(images)
    }

    /// The images of the command line, then those of the file.
    pub(super) fn all(&self) -> Result<Vec<ListedImage>, ImageListError> {
        let named = self.images.iter().cloned();
        let mut images: Vec<_> = named
            .map(|name| ListedImage {
                name,
                platform: None,
            })
            .collect();
        if let Some(path) = &self.from_file {
            let text = read(path).map_err(|source| ImageListError::Unreadable {
                path: path.clone(),
                source,
            })?;
            let listed = image_list::parse(&text).map_err(|source| ImageListError::Name {
                path: path.clone(),
                source,
            })?;
            images.extend(listed);
        }
        Ok(images)
    }
}

fn read(path: &Path) -> io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> (ImageList, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        let list = ImageList {
            images: vec!["named".parse().unwrap()],
            from_file: Some(file.path().to_owned()),
        };
        (list, file)
    }

    fn shown(list: &ImageList, default: Option<&str>) -> Result<Vec<String>, ImageListError> {
        let default = default.map(|text| text.parse().unwrap());
        let images = list.for_platforms(default.as_ref())?.into_iter();
        let shown = images.map(|(name, platforms)| {
            let platforms: Vec<_> = platforms
                .as_slice()
                .iter()
                .map(Platform::to_string)
                .collect();
            format!("{name} {}", platforms.join(","))
        });
        Ok(shown.collect())
    }

    #[test]
    fn an_image_is_wanted_once_for_the_platforms_of_its_lines_and_those_of_the_command() {
        let (list, _file) =
            list("a linux/arm64\nb\na linux/amd64 # again\na linux/arm64\nb linux/arm64");
        assert_eq!(
            shown(&list, Some("linux/s390x")).unwrap(),
            [
                "named:latest linux/s390x",
                "a:latest linux/arm64,linux/amd64",
                "b:latest linux/s390x,linux/arm64"
            ]
        );
        let all = [
            "named:latest ",
            "a:latest linux/arm64,linux/amd64",
            "b:latest ",
        ];
        assert_eq!(shown(&list, Some("all")).unwrap(), all);
        let error = shown(&list, None).unwrap_err().to_string();
        assert!(error.contains("named:latest is for no platform"), "{error}");
    }

    #[test]
    fn a_mistake_is_named_with_its_file_and_line() {
        let (list, file) = list("a\nb c d");
        let error = list.all().unwrap_err();
        let text = protocol::error_chain::ErrorChain(&error).to_string();
        assert!(
            text.starts_with(&file.path().display().to_string()),
            "{text}"
        );
        assert!(text.contains("line 2: a line has one name"), "{text}");
    }
}
