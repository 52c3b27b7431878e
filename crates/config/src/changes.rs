//! What differs between two configurations: each key, with its line in the later file.
//!
//! Both are compared as files that spell out every value ([`Config::to_toml`]), so a key needs no
//! line here, and a default that is written down is no change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use crate::Config;

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The parts of its name, from the section on: `upstream`, `docker.io`, `tag_ttl`. A listener is
    /// named by its address.
    pub path: Vec<String>,
    /// Its line in the later file; `None` where that has its default.
    pub line: Option<usize>,
}

/// The lines of the keys of a file. A key of a list of tables is that of its first.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLines(BTreeMap<Vec<String>, usize>);

impl Change {
    /// Whether its name begins with these parts; `*` is any one.
    pub fn is_in(&self, section: &[&str]) -> bool {
        section.len() <= self.path.len()
            && std::iter::zip(section, &self.path).all(|(want, part)| *want == "*" || want == part)
    }
}

impl fmt::Display for Change {
    /// As a file would spell it: `upstream."docker.io".tag_ttl`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.path.iter().enumerate() {
            if at > 0 {
                formatter.write_str(".")?;
            }
            let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            if part.bytes().all(is_bare) {
                formatter.write_str(part)?;
            } else {
                write!(formatter, "\"{part}\"")?;
            }
        }
        Ok(())
    }
}

impl KeyLines {
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = Self::default();
        if let Ok(document) = DeTable::parse(text) {
            lines.note(document.get_ref(), &[], text);
        }
        lines
    }

    fn note(&mut self, table: &DeTable<'_>, path: &[String], text: &str) {
        for (key, value) in table {
            let line = text[..key.span().start].matches('\n').count() + 1;
            let path = [path, &[key.get_ref().to_string()]].concat();
            self.0.entry(path.clone()).or_insert(line);
            match value.get_ref() {
                DeValue::Table(table) => self.note(table, &path, text),
                DeValue::Array(values) => {
                    for value in values {
                        let Some(table) = value.get_ref().as_table() else {
                            continue;
                        };
                        let name = table.get(ADDRESS).and_then(|name| name.get_ref().as_str());
                        let path = [&path[..], &[name.unwrap_or_default().to_owned()]].concat();
                        let line = text[..value.span().start].matches('\n').count() + 1;
                        self.0.entry(path.clone()).or_insert(line);
                        self.note(table, &path, text);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What tells the tables of a list apart: those of listeners.
const ADDRESS: &str = "address";

/// The keys whose values differ, in their order.
pub(crate) fn between(earlier: &Config, later: &Config, lines: &KeyLines) -> Vec<Change> {
    let mut paths = Vec::new();
    compare(&printed(earlier), &printed(later), &[], &mut paths);
    let change = |path: Vec<String>| Change {
        line: lines.0.get(&path).copied(),
        path,
    };
    paths.into_iter().map(change).collect()
}

fn printed(config: &Config) -> Table {
    let text = config.to_toml();
    text.parse().expect("what is printed can be read")
}

fn compare(earlier: &Table, later: &Table, path: &[String], found: &mut Vec<Vec<String>>) {
    let keys: BTreeSet<&String> = earlier.keys().chain(later.keys()).collect();
    for key in keys {
        let path = [path, std::slice::from_ref(key)].concat();
        match (earlier.get(key), later.get(key)) {
            (Some(earlier), Some(later)) if earlier == later => {}
            (Some(Value::Table(earlier)), Some(Value::Table(later))) => {
                compare(earlier, later, &path, found);
            }
            (Some(earlier), Some(later)) => match (named(earlier), named(later)) {
                (Some(earlier), Some(later)) => compare(&earlier, &later, &path, found),
                _ => found.push(path),
            },
            _ => found.push(path),
        }
    }
}

/// A list of tables as a table of them, by their addresses; the second of one address is told apart
/// by its number.
fn named(list: &Value) -> Option<Table> {
    let mut tables = Table::new();
    for value in list.as_array().filter(|list| !list.is_empty())? {
        let address = value.as_table()?.get(ADDRESS)?.as_str()?;
        let mut name = address.to_owned();
        for number in 2.. {
            if !tables.contains_key(&name) {
                break;
            }
            name = format!("{address} ({number})");
        }
        tables.insert(name, value.clone());
    }
    Some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(earlier: &str, later: &str) -> Vec<(String, Option<usize>)> {
        let parse = |text: &str| Config::parse("archway.toml", text).unwrap();
        let found = between(&parse(earlier), &parse(later), &KeyLines::of(later));
        let found = found.iter().map(|change| (change.to_string(), change.line));
        found.collect()
    }

    fn change(key: &str, line: usize) -> (String, Option<usize>) {
        (key.to_owned(), Some(line))
    }

    #[test]
    fn a_key_is_named_with_its_line() {
        let earlier = "[upstream.\"docker.io\"]\n[upstream.\"ghcr.io\"]";
        let later = "[log]\nlevel = \"warn\"\n\n[upstream.\"docker.io\"]\ntag_ttl = \"5s\"\n\
                     [upstream.\"ghcr.io\"]\n[upstream.\"quay.io\"]";
        let expected = [
            change("log.level", 2),
            change("upstream.\"docker.io\".tag_ttl", 5),
            change("upstream.\"quay.io\"", 7),
        ];
        assert_eq!(changes(earlier, later), expected);
        let back = [
            "log.level",
            "upstream.\"docker.io\".tag_ttl",
            "upstream.\"quay.io\"",
        ];
        let back = back.map(|key| (key.to_owned(), None));
        assert_eq!(changes(later, earlier), back);
    }

    #[test]
    fn a_listener_is_named_by_its_address() {
        let listener = |address: &str, lines: &str| {
            format!("[[listener]]\naddress = \"{address}\"\n{lines}\n")
        };
        let earlier = listener("127.0.0.1:1", "") + &listener("127.0.0.1:2", "");
        let later =
            listener("127.0.0.1:3", "") + &listener("127.0.0.1:2", "platform = \"linux/arm64\"");
        let expected = [
            ("listener.\"127.0.0.1:1\"".to_owned(), None),
            change("listener.\"127.0.0.1:2\".platform", 6),
            change("listener.\"127.0.0.1:3\"", 1),
        ];
        assert_eq!(changes(&earlier, &later), expected);
    }

    #[test]
    fn a_default_that_is_written_down_is_no_change() {
        let written = "offline = false\n[log]\nlevel = \"info\"\n[cache]\nmax_size = \"50GiB\"";
        assert_eq!(changes("", written), []);
        assert_eq!(changes("", "offline = true"), [change("offline", 1)]);
    }

    #[test]
    fn a_change_is_within_the_sections_it_is_in() {
        let change = Change {
            path: ["listener", "127.0.0.1:1", "tls", "cert"]
                .map(str::to_owned)
                .into(),
            line: None,
        };
        assert!(change.is_in(&["listener"]) && change.is_in(&["listener", "*", "tls"]));
        assert!(!change.is_in(&["listener", "*", "platform"]) && !change.is_in(&["cache"]));
    }
}
