//! Tables of the file, from which each section takes its keys.
//!
//! A key is read where its section is defined: `table.take("tag_ttl")` names it, reads it and notes
//! its mistake, if any. Keys that no section took are unknown; the names asked for are the
//! suggestions. So no list of keys is kept anywhere, and one mistake never hides another. A value
//! that is not read may hold a secret, and is kept out of every report.

mod value;

use std::ops::{Range, RangeInclusive};

use toml::{Spanned, de::DeTable};

pub(crate) use self::value::Value;
use crate::{
    meaning::Meaning,
    problem::{Problem, Problems},
    suggest,
};

/// Never a key: noticed in order to explain where a password belongs.
pub(crate) const PASSWORD: &str = "password";
const PASSWORD_HELP: &str =
    "keep it out of this file: auth = { username = \"me\", password_file = \"/run/secrets/hub\" }";

/// A table of the file; keys leave it as they are read.
pub(crate) struct Table<'a> {
    pub(crate) span: Range<usize>,
    left: DeTable<'a>,
    known: Vec<&'static str>,
    /// What to write instead of keys that other programs have.
    foreign: &'static [(&'static str, &'static str)],
    pub(crate) problems: &'a Problems,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(crate) fn document(document: Spanned<DeTable<'a>>, problems: &'a Problems) -> Self {
        Self::new(document.span(), document.into_inner(), problems)
    }

    /// A table without any key, from which only defaults come.
    pub(crate) fn empty(problems: &'a Problems) -> Self {
        Self::new(0..0, DeTable::new(), problems)
    }

    fn new(span: Range<usize>, left: DeTable<'a>, problems: &'a Problems) -> Self {
        Self {
            span,
            left,
            known: Vec::new(),
            foreign: &[],
            problems,
        }
    }

    /// Names keys that other programs have, with what to write instead of each.
    pub(crate) fn explain(&mut self, foreign: &'static [(&'static str, &'static str)]) {
        self.foreign = foreign;
    }

    /// The value of a key, as it is.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        self.unlisted(key)
    }

    /// The value of a key that must never be suggested.
    pub(crate) fn unlisted(&mut self, key: &str) -> Option<Value<'a>> {
        let value = self.left.remove(key)?;
        Some(Value::new(value, self.problems))
    }

    /// The value of an optional string.
    pub(crate) fn take<T: Meaning>(&mut self, key: &'static str) -> Option<T> {
        self.spanned(key).map(Spanned::into_inner)
    }

    /// The value of a string, or its default.
    pub(crate) fn or<T: Meaning>(&mut self, key: &'static str, default: T) -> T {
        self.take(key).unwrap_or(default)
    }

    /// The value of an optional string, and its place.
    pub(crate) fn spanned<T: Meaning>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        self.value(key)?.read(key)
    }

    /// The value of a string that must be there, and its place.
    pub(crate) fn required<T: Meaning>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        self.required_value(key)?.read(key)
    }

    /// The value of a key that must be there.
    pub(crate) fn required_value(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.value(key);
        if value.is_none() {
            let problem = Problem::new(self.span.clone(), format!("missing key `{key}`"));
            let label = format!("`{key}` must be set here");
            self.problems.add(problem.label(label));
        }
        value
    }

    /// A whole number within the range, or its default.
    pub(crate) fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        self.optional_count(key, range).unwrap_or(default)
    }

    /// A whole number within the range.
    pub(crate) fn optional_count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        self.value(key)?.count(key, &range)
    }

    /// A `true` or `false`, or its default.
    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let flag = self.spanned_flag(key);
        flag.map_or(default, Spanned::into_inner)
    }

    /// A `true` or `false`, and its place.
    pub(crate) fn spanned_flag(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        self.value(key)?.flag()
    }

    /// The values of a list of strings; those that cannot be read are noted.
    pub(crate) fn list<T: Meaning>(&mut self, key: &'static str) -> Vec<T> {
        let values = self.spanned_list(key).into_iter();
        values.map(Spanned::into_inner).collect()
    }

    /// The values of a list of strings, and their places.
    pub(crate) fn spanned_list<T: Meaning>(&mut self, key: &'static str) -> Vec<Spanned<T>> {
        let values = self.value(key).and_then(Value::list);
        let values = values.into_iter().flatten();
        values.filter_map(|value| value.read(key)).collect()
    }

    /// As [`Self::spanned_list`], of a list that limits something. An absent one is no limit; one
    /// without a value would allow nothing, and is noted.
    pub(crate) fn limit<T: Meaning>(&mut self, key: &'static str) -> Vec<Spanned<T>> {
        let Some(values) = self.values(key) else {
            return Vec::new();
        };
        let (span, values) = (values.span(), values.into_inner());
        if values.is_empty() {
            let problem = Problem::new(span, format!("`{key}` is empty, so nothing is allowed"))
                .label("no value in here")
                .help("remove the key to set no limit");
            self.problems.add(problem);
        }
        let values = values.into_iter();
        values.filter_map(|value| value.read(key)).collect()
    }

    /// The values of a list and the place of the list.
    pub(crate) fn values(&mut self, key: &'static str) -> Option<Spanned<Vec<Value<'a>>>> {
        self.value(key)?.spanned_list()
    }

    /// The entries of a table whose keys are values too, in the order of the file.
    pub(crate) fn entries<K: Meaning>(
        &mut self,
        key: &'static str,
    ) -> Vec<(Option<Spanned<K>>, Value<'a>)> {
        let value = self.value(key);
        value
            .and_then(|value| value.entries(key))
            .unwrap_or_default()
    }

    /// The value that `read` makes of a section, or of an empty table where the file has none.
    pub(crate) fn section<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&mut Table<'a>) -> T,
    ) -> T {
        let section = self
            .value(key)
            .and_then(|value| value.table(expected, &read));
        section.unwrap_or_else(|| read(&mut Table::empty(self.problems)))
    }

    /// The values that `read` makes of the tables of a list.
    pub(crate) fn sections<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&mut Table<'a>) -> T,
    ) -> Vec<T> {
        let values = self.value(key).and_then(Value::list);
        let values = values.into_iter().flatten();
        values
            .filter_map(|value| value.table(expected, &read))
            .collect()
    }

    /// Notes every key that was not taken.
    pub(crate) fn refuse_unknown(self) {
        for (key, value) in self.left {
            let word = key.get_ref();
            let problem = Problem::new(key.span(), format!("unknown key `{word}`"))
                .label("this key does not exist here");
            let help = if word == PASSWORD {
                self.problems.hide(value.span());
                PASSWORD_HELP.to_owned()
            } else {
                let foreign = self.foreign.iter().find(|(key, _)| *key == word);
                foreign.map_or_else(
                    || suggest::help(word, &self.known),
                    |(_, help)| (*help).to_owned(),
                )
            };
            self.problems.add(problem.help(help));
            Value::new(value, self.problems).hide();
        }
    }
}
