//! `GET /_archway/v1/events`: what happened lately.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Time;

/// The last thousand notable events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The events, the latest first.
    pub events: Vec<Event>,
    /// The number of the latest one: with the parameter `since` only later ones are answered.
    pub last: u64,
}

/// One event: a line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number; the first since the start is 1.
    pub number: u64,
    /// When it happened.
    pub time: Time,
    /// How grave it is.
    pub level: Level,
    /// The part of the program that says it: `pull`, `upstream`, `config`, ...
    pub part: String,
    /// What happened: a constant text, explained in docs/logging.md.
    pub message: String,
    /// What it is about, such as `upstream`, `repository`, `digest` or `error`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// How grave an event is, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something is wrong with Archway or its disk.
    Error,
    /// Something went wrong, and was dealt with.
    Warn,
    /// Something happened.
    Info,
}
