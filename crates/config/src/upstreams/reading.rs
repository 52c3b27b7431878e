//! The tables of upstreams as they are read: what is wrong with one beside the others.

use std::{collections::HashMap, ops::Range};

use protocol::host::{Host, HostPattern};
use toml::Spanned;

use super::{
    entry::Entry,
    names::{misnamed, other_name},
};
use crate::{
    problem::{Problem, Problems},
    table::Value,
};

/// The host that somebody meant who left out the quotes, as in `[upstream.docker.io]`.
fn unquoted(pattern: &HostPattern, table: &Value<'_>) -> Option<String> {
    let rest = table.table_names();
    let is_label = !pattern.as_str().contains(['.', ':', '*']);
    // `repositories` is a table of an upstream, and a word that ends no host.
    let [first, ..] = rest.as_slice() else {
        return None;
    };
    let is_setting = ["repositories", "tag_ttls", "auth"].contains(first);
    (is_label && !is_setting).then(|| format!("{pattern}.{}", rest.join(".")))
}

/// The tables read so far, and where each of their names is.
#[derive(Default)]
pub(super) struct Reading {
    offline: bool,
    pub(super) entries: Vec<Entry>,
    patterns: HashMap<HostPattern, Range<usize>>,
    virtual_hosts: HashMap<Host, Range<usize>>,
}

impl Reading {
    /// Nothing yet; with `offline` no upstream is ever asked.
    pub(super) fn new(offline: bool) -> Self {
        Self {
            offline,
            ..Self::default()
        }
    }

    /// Adds the table of a pattern, or notes why it cannot be one.
    pub(super) fn add(
        &mut self,
        pattern: Spanned<HostPattern>,
        table: Value<'_>,
        problems: &Problems,
    ) {
        let (span, pattern) = (pattern.span(), pattern.into_inner());
        if let Some(known_as) = pattern.exact().and_then(other_name) {
            let help = format!(
                "did you mean [upstream.\"{known_as}\"]? Its `endpoints` set where it is asked"
            );
            problems.add(misnamed("upstream", span, &known_as).help(help));
            return table.hide();
        }
        if let Some(first) = self.patterns.insert(pattern.clone(), span.clone()) {
            let problem = Problem::new(span, format!("two upstreams for `{pattern}`"))
                .label("the second")
                .other(first, "the first")
                .help("merge them into one table");
            problems.add(problem);
            return table.hide();
        }
        if let Some(host) = unquoted(&pattern, &table) {
            let title = format!("the name of the upstream {host} has no quotes");
            let label = "without quotes, a dot begins a table inside of this one";
            let help = format!("write [upstream.\"{host}\"]");
            problems.add(Problem::new(span, title).label(label).help(help));
            return table.hide();
        }
        let expected = "a table such as [upstream.\"docker.io\"]";
        let checks = problems.file_checks();
        let read = table.table(expected, |table| Entry::read(pattern, table));
        let Some((mut entry, hosts)) = read else {
            return;
        };
        if self.offline || entry.offline {
            // Nobody is shown them: an air-gapped site need not have them.
            problems.forget_file_checks(checks);
        }
        let hosts = hosts.into_iter();
        entry.hosts = hosts
            .filter_map(|host| self.claim(&entry.pattern, host, problems))
            .collect();
        self.entries.push(entry);
    }

    /// The virtual host, if `pattern` may have it.
    fn claim(
        &mut self,
        pattern: &HostPattern,
        host: Spanned<Host>,
        problems: &Problems,
    ) -> Option<Host> {
        let (span, host) = (host.span(), host.into_inner());
        if pattern.exact().is_none() {
            let title = format!("`hosts` needs one upstream, `{pattern}` is many");
            let problem = Problem::new(span, title)
                .label("means no single registry")
                .help("move it to the table of one host");
            problems.add(problem);
            return None;
        }
        if let Some(first) = self.virtual_hosts.insert(host.clone(), span.clone()) {
            let title = format!("two upstreams claim the virtual host `{host}`");
            let problem = Problem::new(span, title)
                .label("already taken")
                .other(first, "first claimed here");
            problems.add(problem);
            return None;
        }
        Some(host)
    }
}
