//! `[log]`: how much is logged and in which form.

use serde::Serialize;

use crate::{
    meaning::{Meaning, Wrong},
    suggest,
    table::Table,
};

const DEFAULT_LEVEL: &str = "info";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The levels of the log, the form of its lines, and the access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// Levels, one for all or one per target, separated by commas: `warn,pull::fill=debug`.
    pub level: String,
    /// Whether each request is logged, whatever the level of the rest is.
    pub access: bool,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `Human` on a terminal, else `Json`.
    Auto,
    /// For people at a terminal.
    Human,
    /// A JSON object a line.
    Json,
}

struct Levels(String);

impl Log {
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let format = table.or("format", LogFormat::Auto);
        let level = table.take("level").map(|Levels(level)| level);
        Self {
            format,
            level: level.unwrap_or_else(|| DEFAULT_LEVEL.to_owned()),
            access: table.flag("access", true),
        }
    }
}

impl Meaning for LogFormat {
    const WHAT: &'static str = "a log format";
    const EXAMPLE: &'static str = "\"json\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let known = [
            ("auto", Self::Auto),
            ("human", Self::Human),
            ("json", Self::Json),
        ];
        suggest::word(text, known)
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
                Some((target, _)) => return Err(Wrong::new(format!("`{target}` is not a target"))),
            };
            suggest::word(level, LEVELS.map(|level| (level, ())))?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// A module path, as events carry it.
fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}
