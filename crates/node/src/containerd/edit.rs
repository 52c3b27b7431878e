//! Archway's table in a `hosts.toml` of others: in and out again, with every other byte as it was.
//!
//! The table is a block of lines between two marks, put behind the keys at the top of the file and
//! before its first table, so that it is the first place to ask. The result is parsed, and not
//! written if it does not mean what it should.

use std::fmt::Write;

use toml_edit::{Document, Item, TableLike};

use super::{Content, HostsFault, HostsFile};

/// How the first line of a block begins ...
const BEGIN: &str = "# >>> Archway";
/// ... and the last.
const END: &str = "# <<< Archway";
const LINKED: &str = " (linked)";
const EXPLAINED: &str =
    ": `archway client-config` wrote this and takes it away again; changes here are lost";

/// What a block says of the file around it: what goes when the block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) scope: Scope,
    /// A link of ours leads to the directory.
    pub(super) is_linked: bool,
}

/// What was there before the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A file, if only an empty one.
    File,
    /// A directory without the file.
    Directory,
    /// Not even the directory.
    Nothing,
}

/// A block was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The file without it.
    pub(super) rest: String,
    /// What it says of the file.
    pub(super) kept: Kept,
}

/// Why a file cannot have a block, or its block cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// The block begins and does not end.
    #[error("its mark `{END}` is missing; take Archway's lines out by hand")]
    Mangled,
    /// The file is broken already.
    #[error(transparent)]
    Faulty(#[from] HostsFault),
    /// Another table for the same URL is in the file, not as the first.
    #[error(
        "it has a table for {0} already, and others before it; put that one first, or take it out"
    )]
    NotFirst(String),
    /// The hosts are written in a form that keeps a new one from being the first.
    #[error("its hosts are not written as [host.\"URL\"] tables; write them so")]
    Form,
}

impl Kept {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            is_linked: false,
        }
    }

    /// The words behind the first mark.
    fn words(self) -> String {
        let scope = self.scope.word();
        let linked = if self.is_linked { LINKED } else { "" };
        format!("{scope}{linked}")
    }

    fn of(first_line: &str) -> Self {
        let has = |word: &str| first_line.contains(word);
        let new = [Scope::Directory, Scope::Nothing];
        let scope = new.into_iter().find(|scope| has(scope.word()));
        Self {
            scope: scope.unwrap_or(Scope::File),
            is_linked: has(LINKED),
        }
    }
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Directory => " (new file)",
            Self::Nothing => " (new directory)",
        }
    }
}

/// Puts a table for `url` first. `None` if the file has one of its own there already.
pub(super) fn put_first(
    original: &str,
    url: &str,
    table: &str,
    kept: Kept,
) -> Result<Option<String>, EditError> {
    let before = HostsFile::parse(original, None)?;
    match before.hosts.iter().position(|place| place.url == url) {
        Some(0) => return Ok(None),
        Some(_) => return Err(EditError::NotFirst(url.to_owned())),
        None => {}
    }
    let document = Document::parse(original).map_err(|_| EditError::Form)?;
    let (at, ends_line) = behind_keys(original, document.as_table());
    let mut text = String::with_capacity(original.len() + table.len() + 200);
    text.push_str(&original[..at]);
    if ends_line {
        text.push_str(&block(table, kept));
    } else {
        // The last line of the file has no end; neither gets the block.
        let _ = write!(text, "\n{}", block(table, kept).trim_end());
    }
    text.push_str(&original[at..]);
    let after = HostsFile::parse(&text, None).map_err(|_| EditError::Form)?;
    let is_meant = after.hosts.first().is_some_and(|place| place.url == url)
        && after.hosts[1..] == before.hosts
        && after.server == before.server;
    if is_meant {
        Ok(Some(text))
    } else {
        Err(EditError::Form)
    }
}

/// A file of ours alone: the keys that keep the certificates of its directory in use, and the table.
pub(super) fn whole(content: &Content, table: &str, kept: Kept) -> String {
    let mut body = String::new();
    if let Content::Certificates { authorities, pairs } = content {
        let quoted = |name: &String| format!("{name:?}");
        if !authorities.is_empty() {
            let list: Vec<_> = authorities.iter().map(quoted).collect();
            let _ = writeln!(body, "ca = [{}]", list.join(", "));
        }
        if !pairs.is_empty() {
            let list: Vec<_> = pairs
                .iter()
                .map(|(cert, key)| match key {
                    Some(key) => format!("[{}, {}]", quoted(cert), quoted(key)),
                    None => quoted(cert),
                })
                .collect();
            let _ = writeln!(body, "client = [{}]", list.join(", "));
        }
        body.push('\n');
    }
    block(&(body + table), kept)
}

fn block(body: &str, kept: Kept) -> String {
    format!("{BEGIN}{}{EXPLAINED}\n{body}{END}\n", kept.words())
}

/// Takes the block out; `None` if there is none.
pub(super) fn cut(text: &str) -> Result<Option<Cut>, EditError> {
    let Some(begin) = line_that_begins(text, BEGIN, 0) else {
        return Ok(None);
    };
    let end = line_that_begins(text, END, begin).ok_or(EditError::Mangled)?;
    let kept = Kept::of(text[begin..].lines().next().unwrap_or_default());
    let (begin, end) = match text[end..].find('\n') {
        Some(line_end) => (begin, end + line_end + 1),
        // It is at the end of a file that had no line end.
        None => (begin.saturating_sub(1), text.len()),
    };
    Ok(Some(Cut {
        rest: format!("{}{}", &text[..begin], &text[end..]),
        kept,
    }))
}

fn line_that_begins(text: &str, mark: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at + text[at..].find(mark)?;
        if found == 0 || text.as_bytes()[found - 1] == b'\n' {
            return Some(found);
        }
        at = found + mark.len();
    }
}

/// The place behind the last key that stands before the first table, and whether a line ends there.
fn behind_keys(text: &str, root: &dyn TableLike) -> (usize, bool) {
    let last = root.iter().filter_map(|(_, item)| end_of_key(item)).max();
    match last {
        None => (0, true),
        Some(end) => match text[end..].find('\n') {
            Some(line_end) => (end + line_end + 1, true),
            None => (text.len(), false),
        },
    }
}

/// Where a key at the top of the file ends; `None` for a table with a header.
fn end_of_key(item: &Item) -> Option<usize> {
    match item {
        Item::Value(value) => {
            let own = value.span().map(|span| span.end);
            let inner = value.as_inline_table().filter(|table| table.is_dotted());
            let inner = inner.and_then(|table| {
                table
                    .iter()
                    .filter_map(|(_, value)| value.span())
                    .map(|span| span.end)
                    .max()
            });
            own.max(inner)
        }
        Item::Table(table) if table.is_dotted() => {
            table.iter().filter_map(|(_, item)| end_of_key(item)).max()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:5000";
    const TABLE: &str =
        "[host.\"http://127.0.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n";

    /// Files of others, in every shape that keeps a table possible.
    const FILES: [&str; 12] = [
        "",
        "# only a comment",
        "server = \"https://a\"",
        "server = \"https://a\"\n",
        "server = \"https://a\" # why\n\n# the second\n[host.\"https://b\"]\nskip_verify = true\n",
        "[host.\"https://b\"]\n  capabilities = [\"pull\"]\n[host.\"https://c\"]",
        "# head\r\nserver = \"https://a\"\r\n[host.\"https://b\"]\r\n",
        "ca = [\n  \"a.crt\",\n  \"b.crt\",\n]\nclient = [[\"c.cert\", \"c.key\"]]\n\n[host.\"https://b\"]\nca = \"x\"\n",
        "header.x = \"y\"\nheader.z = [\"1\"]\n[host.\"https://b\"]\n",
        "\n\n\n[host.\"https://b\".header]\nx = \"y\"\n",
        "server = '''https://a'''\nskip_verify = true",
        "capabilities = [\"pull\"] # [host.\"https://no\"]\n# >> Archway\n",
    ];

    #[test]
    fn what_goes_in_comes_out_and_every_other_byte_stays() {
        for original in FILES {
            for is_linked in [false, true] {
                let scope = Scope::File;
                let kept = Kept { scope, is_linked };
                let text = put_first(original, URL, TABLE, kept).unwrap().unwrap();
                let first = &HostsFile::parse(&text, None).unwrap().hosts[0].url;
                assert_eq!(first, URL, "{text}");
                let cut = cut(&text).unwrap().unwrap();
                let rest = original.to_owned();
                assert_eq!(cut, Cut { rest, kept }, "{text}");
            }
        }
    }

    #[test]
    fn a_file_of_ours_alone_is_nothing_without_its_block() {
        let certificates = Content::Certificates {
            authorities: vec!["ca.crt".into()],
            pairs: vec![
                ("a.cert".into(), Some("a.key".into())),
                ("b.cert".into(), None),
            ],
        };
        for content in [&certificates, &Content::Empty] {
            for scope in [Scope::Directory, Scope::Nothing] {
                let kept = Kept {
                    is_linked: true,
                    ..Kept::new(scope)
                };
                let text = whole(content, TABLE, kept);
                assert!(HostsFile::parse(&text, None).is_ok(), "{text}");
                let rest = String::new();
                assert_eq!(cut(&text).unwrap(), Some(Cut { rest, kept }));
            }
        }
        let text = whole(&certificates, TABLE, Kept::new(Scope::Nothing));
        assert!(
            text.contains("ca = [\"ca.crt\"]\nclient = [[\"a.cert\", \"a.key\"], \"b.cert\"]\n")
        );
    }

    #[test]
    fn a_table_for_the_same_url_is_left_where_it_is_first_and_refused_where_it_is_not() {
        let first = format!("{TABLE}[host.\"https://b\"]\n");
        assert_eq!(
            put_first(&first, URL, TABLE, Kept::new(Scope::File)),
            Ok(None)
        );
        let second = format!("[host.\"https://b\"]\n{TABLE}");
        let refused = put_first(&second, URL, TABLE, Kept::new(Scope::File));
        assert_eq!(refused, Err(EditError::NotFirst(URL.into())));
    }

    #[test]
    fn a_file_that_cannot_have_a_first_table_is_refused() {
        let inline = "host = { \"https://b\" = { skip_verify = true } }\n";
        assert_eq!(
            put_first(inline, URL, TABLE, Kept::new(Scope::File)),
            Err(EditError::Form)
        );
        let broken = put_first("server =\n", URL, TABLE, Kept::new(Scope::File));
        assert!(matches!(broken, Err(EditError::Faulty(_))));
    }

    #[test]
    fn a_block_without_its_end_is_not_guessed_at() {
        let text = whole(&Content::Empty, TABLE, Kept::new(Scope::Nothing)).replace(END, "");
        assert_eq!(cut(&text), Err(EditError::Mangled));
    }
}
