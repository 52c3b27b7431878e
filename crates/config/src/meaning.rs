//! Values that the file writes as strings.
//!
//! The type of a value reads its own text and explains a mistake in it. `table.rs` knows the place
//! in the file and makes a [`Problem`](crate::problem::Problem) of that.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A type whose values the file writes as strings.
pub(crate) trait Meaning: Sized {
    /// With its article: "a duration".
    const WHAT: &'static str;
    /// A value to show, written as in the file.
    const EXAMPLE: &'static str;

    fn read(text: &str) -> Result<Self, Wrong>;

    /// The same value in a file that lies in `folder`: a relative path counts from there, whatever
    /// directory the process was started in.
    fn placed(self, _folder: &Path) -> Self {
        self
    }
}

/// Why a string cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    /// The text shown below the value.
    pub(crate) label: String,
    /// How to fix it; `None` shows the example.
    pub(crate) help: Option<String>,
    /// Whether the value may hold a secret, and must not be shown.
    pub(crate) is_secret: bool,
}

impl Wrong {
    pub(crate) fn new(label: impl fmt::Display) -> Self {
        Self {
            label: label.to_string(),
            help: None,
            is_secret: false,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Keeps the value out of the report.
    pub(crate) fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }
}

impl Meaning for PathBuf {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "\"/var/lib/archway\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::new("this is empty"));
        }
        if text.contains('\0') {
            return Err(Wrong::new("a path cannot contain NUL"));
        }
        if text == "~" || text.starts_with("~/") || text.contains('$') {
            return Err(Wrong::new("nothing replaces `~` and `$NAME` here")
                .help("write the whole path, or one that is relative to this file"));
        }
        Ok(Self::from(text))
    }

    fn placed(self, folder: &Path) -> Self {
        // Of an absolute path, all of it is kept.
        folder.join(self)
    }
}
