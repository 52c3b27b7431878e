//! One value of the file: its place, and what it can be read as.

use std::ops::{Range, RangeInclusive};

use toml::{Spanned, de::DeValue};

use super::Table;
use crate::{
    meaning::Meaning,
    problem::{Problem, Problems},
};

/// A value of the file and its place.
pub(crate) struct Value<'a> {
    pub(crate) span: Range<usize>,
    data: DeValue<'a>,
    problems: &'a Problems,
}

impl<'a> Value<'a> {
    pub(super) fn new(value: Spanned<DeValue<'a>>, problems: &'a Problems) -> Self {
        Self {
            span: value.span(),
            data: value.into_inner(),
            problems,
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.data.as_str()
    }

    /// The names of the tables in it, one in the other, while each has no more than that one.
    pub(crate) fn table_names(&self) -> Vec<&str> {
        let (mut names, mut data) = (Vec::new(), &self.data);
        while let DeValue::Table(table) = data
            && let Some((name, value)) = table.iter().next()
            && table.len() == 1
            && matches!(value.get_ref(), DeValue::Table(_))
        {
            names.push(&**name.get_ref());
            data = value.get_ref();
        }
        names
    }

    /// Notes that `expected` should be here instead.
    pub(crate) fn refuse(self, expected: &str) {
        let found = match &self.data {
            DeValue::String(_) => "a string".to_owned(),
            DeValue::Integer(number) => format!("integer `{number}`"),
            DeValue::Float(number) => format!("number `{number}`"),
            DeValue::Boolean(flag) => format!("boolean `{flag}`"),
            DeValue::Datetime(_) => "a date or time".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        let title = format!("{expected} is expected here");
        let problem = Problem::new(self.span.clone(), title).label(format!("found {found}"));
        self.problems.add(problem);
        self.hide();
    }

    /// Keeps its texts out of every report. Numbers and switches stay: they help, and are no
    /// secrets.
    pub(crate) fn hide(self) {
        match self.data {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {}
            DeValue::String(_) | DeValue::Datetime(_) => self.problems.hide(self.span),
            DeValue::Array(values) => {
                for value in values {
                    Value::new(value, self.problems).hide();
                }
            }
            DeValue::Table(table) => {
                for (_, value) in table {
                    Value::new(value, self.problems).hide();
                }
            }
        }
    }

    /// The value of the string under `key`, and its place.
    pub(crate) fn read<T: Meaning>(self, key: &str) -> Option<Spanned<T>> {
        if let Some(text) = self.as_str() {
            return read(text, self.span.clone(), key, self.problems);
        }
        self.refuse(&format!("{} such as {}", T::WHAT, T::EXAMPLE));
        None
    }

    /// A `true` or `false`, and its place.
    pub(crate) fn flag(self) -> Option<Spanned<bool>> {
        if let DeValue::Boolean(flag) = self.data {
            return Some(Spanned::new(self.span, flag));
        }
        self.refuse("`true` or `false`");
        None
    }

    /// A whole number within the range.
    pub(super) fn count(self, key: &str, range: &RangeInclusive<usize>) -> Option<usize> {
        let DeValue::Integer(number) = &self.data else {
            self.refuse("a whole number without quotes");
            return None;
        };
        let found = usize::from_str_radix(number.as_str(), number.radix()).ok();
        let found = found.filter(|number| range.contains(number));
        if found.is_none() {
            let (least, most) = (range.start(), range.end());
            let problem = Problem::new(self.span, format!("`{key}` is out of bounds"));
            self.problems
                .add(problem.label(format!("from {least} to {most} is possible")));
        }
        found
    }

    /// The values of a list.
    pub(super) fn list(self) -> Option<Vec<Value<'a>>> {
        match self.data {
            DeValue::Array(values) => {
                let values = values.into_iter();
                Some(
                    values
                        .map(|value| Value::new(value, self.problems))
                        .collect(),
                )
            }
            DeValue::Table(_) => {
                let problem = Problem::new(self.span.clone(), "a list is expected here")
                    .label("found a single table")
                    .help("each table of a list has double brackets, as in [[listener]]");
                self.problems.add(problem);
                self.hide();
                None
            }
            DeValue::String(_) => {
                let problem = Problem::new(self.span.clone(), "a list is expected here")
                    .label("found a string")
                    .help("put it in brackets: [\"...\"]");
                self.problems.add(problem);
                self.hide();
                None
            }
            _ => {
                self.refuse("a list");
                None
            }
        }
    }

    /// The values of a list, and its place.
    pub(crate) fn spanned_list(self) -> Option<Spanned<Vec<Value<'a>>>> {
        let span = self.span.clone();
        Some(Spanned::new(span, self.list()?))
    }

    /// The value that `read` makes of this table. Keys it does not take are reported as unknown.
    pub(crate) fn table<T>(
        self,
        expected: &str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> Option<T> {
        let DeValue::Table(left) = self.data else {
            self.refuse(expected);
            return None;
        };
        let mut table = Table::new(self.span, left, self.problems);
        let value = read(&mut table);
        table.refuse_unknown();
        Some(value)
    }

    /// The entries of a table whose keys are values too, in the order of the file. A key that
    /// cannot be read is `None`, and noted; so is a value that is no table.
    pub(crate) fn entries<K: Meaning>(
        self,
        key: &str,
    ) -> Option<Vec<(Option<Spanned<K>>, Value<'a>)>> {
        let DeValue::Table(table) = self.data else {
            self.refuse(&format!("a table whose keys are each {}", K::WHAT));
            return None;
        };
        let mut entries: Vec<_> = table.into_iter().collect();
        // The parser sorts a table by its keys.
        entries.sort_by_key(|(name, _)| name.span().start);
        let entries = entries.into_iter().map(|(name, value)| {
            let name = read(name.get_ref(), name.span(), key, self.problems);
            (name, Value::new(value, self.problems))
        });
        Some(entries.collect())
    }
}

fn read<T: Meaning>(
    text: &str,
    span: Range<usize>,
    key: &str,
    problems: &Problems,
) -> Option<Spanned<T>> {
    let wrong = match T::read(text) {
        Ok(value) => {
            let value = match problems.folder() {
                Some(folder) => value.placed(folder),
                None => value,
            };
            return Some(Spanned::new(span, value));
        }
        Err(wrong) => wrong,
    };
    if wrong.is_secret {
        problems.hide(span.clone());
    }
    let example = || format!("write it like this: {}", T::EXAMPLE);
    let problem = Problem::new(span, format!("`{key}` must be {}", T::WHAT))
        .label(wrong.label)
        .help(wrong.help.unwrap_or_else(example));
    problems.add(problem);
    None
}
