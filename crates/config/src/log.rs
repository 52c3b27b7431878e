//! `[log]`: how much is logged and in which form.

use serde::Deserialize;

use super::{
    error::Problems,
    field::{Field, Meaning, Wrong, or},
    print::Page,
    suggest,
};

const DEFAULT_LEVEL: &str = "info";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// Levels, one for all or one per target, separated by commas: `info`, `warn,proxy::pull=debug`.
    pub level: String,
    /// Whether each request is logged, whatever the level of the rest is.
    pub access: bool,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `Human` on a terminal, else `Json`.
    Auto,
    /// For eyes.
    Human,
    /// A JSON object a line.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [log]")]
pub(super) struct RawLog {
    format: Option<Field<LogFormat>>,
    level: Option<Field<Levels>>,
    access: Option<bool>,
}

#[derive(Debug)]
struct Levels(String);

impl RawLog {
    pub(super) fn resolve(self, problems: &mut Problems) -> Log {
        Log {
            format: or(self.format, "format", LogFormat::Auto, problems),
            level: or(
                self.level,
                "level",
                Levels(DEFAULT_LEVEL.to_owned()),
                problems,
            )
            .0,
            access: self.access.unwrap_or(true),
        }
    }
}

impl Log {
    pub(super) fn print(&self, page: &mut Page) {
        page.header("[log]");
        page.string("format", self.format.word());
        page.string("level", &self.level);
        page.raw("access", self.access);
    }
}

impl LogFormat {
    const ALL: [LogFormat; 3] = [LogFormat::Auto, LogFormat::Human, LogFormat::Json];

    fn word(self) -> &'static str {
        match self {
            LogFormat::Auto => "auto",
            LogFormat::Human => "human",
            LogFormat::Json => "json",
        }
    }
}

impl Meaning for LogFormat {
    const WHAT: &'static str = "a log format";
    const EXAMPLE: &'static str = "\"json\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, LogFormat::ALL.map(|format| (format.word(), format)))
    }
}

impl Meaning for Levels {
    const WHAT: &'static str = "a log level";
    const EXAMPLE: &'static str = "\"info\" or \"warn,proxy=debug\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        for directive in text.split(',') {
            let level = match directive.split_once('=') {
                None => directive,
                Some((target, level)) if is_target(target) => level,
                Some((target, _)) => return Err(Wrong::new(format!("`{target}` is no target"))),
            };
            suggest::word(level, LEVELS.map(|level| (level, ())))?;
        }
        Ok(Levels(text.to_owned()))
    }
}

/// A module path, as events carry it.
fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}
