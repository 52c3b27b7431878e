//! Writes the effective configuration as TOML, a key a line, in the order of the example.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use super::units;

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A table header, `[name]` or `[[name]]`, after an empty line.
    pub(super) fn header(&mut self, header: &str) {
        self.line(format_args!("\n{header}"));
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.line(format!("# {text}").trim_end());
    }

    /// A value that is written as it stands: a number, a boolean, or TOML made by the caller.
    pub(super) fn raw(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.raw(key, quoted(value));
    }

    pub(super) fn size(&mut self, key: &str, bytes: u64) {
        self.string(key, &units::size(bytes));
    }

    pub(super) fn duration(&mut self, key: &str, duration: Duration) {
        self.string(key, &units::duration(duration));
    }

    pub(super) fn list<T: Display>(&mut self, key: &str, values: &[T]) {
        let values: Vec<_> = values
            .iter()
            .map(|value| quoted(&value.to_string()))
            .collect();
        self.raw(key, format_args!("[{}]", values.join(", ")));
    }

    /// An inline table of strings.
    pub(super) fn map<K: Display, V: Display>(
        &mut self,
        key: &str,
        entries: impl Iterator<Item = (K, V)>,
    ) {
        let pair = |(key, value): (K, V)| {
            format!(
                "{} = {}",
                quoted(&key.to_string()),
                quoted(&value.to_string())
            )
        };
        let pairs: Vec<_> = entries.map(pair).collect();
        let body = if pairs.is_empty() {
            String::new()
        } else {
            format!(" {} ", pairs.join(", "))
        };
        self.raw(key, format_args!("{{{body}}}"));
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("a String takes every text");
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
