//! Where a configuration is read from, and read again from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Change, Config, ConfigError, NamedFiles, Reach,
    changes::{self, KeyLines},
    error::Report,
};

/// A file, or the built-in defaults, and whether upstreams may be asked whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    file: Option<PathBuf>,
    reach: Reach,
    files: NamedFiles,
}

/// A configuration as it was read, with the lines of its keys.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    lines: KeyLines,
}

impl Source {
    /// The file; without one, the built-in defaults.
    pub fn new(file: Option<PathBuf>, reach: Reach) -> Self {
        Self {
            file,
            reach,
            files: NamedFiles::Check,
        }
    }

    /// The same without a look at any other file that it names: those may be on another machine.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            files: NamedFiles::Ignore,
            ..self
        }
    }

    /// What it is called in answers and in the log.
    pub fn name(&self) -> String {
        self.file.as_ref().map_or_else(
            || "built-in defaults".to_owned(),
            |file| file.display().to_string(),
        )
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads it, and checks it and the files it names, but for those of upstreams that are never
    /// asked. Blocks.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let Some(path) = &self.file else {
            return Ok(Loaded {
                config: Config::embedded_as(self.reach)?,
                lines: KeyLines::default(),
            });
        };
        let bytes = fs::read(path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        let name = path.to_string_lossy();
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            Report::unparsed(&name, &text, at, "the file is not UTF-8".to_owned())
        })?;
        let folder = std::path::absolute(path).ok();
        let folder = folder.and_then(|path| Some(path.parent()?.to_owned()));
        Ok(Loaded {
            config: Config::read(&name, &text, self.files, self.reach, folder)?,
            lines: KeyLines::of(&text),
        })
    }
}

impl Loaded {
    /// The keys whose values differ from those of an earlier configuration, in their order.
    pub fn changes_since(&self, earlier: &Config) -> Vec<Change> {
        changes::between(earlier, &self.config, &self.lines)
    }
}
