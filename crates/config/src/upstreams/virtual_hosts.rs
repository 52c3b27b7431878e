//! `hosts` of the upstream tables: host names of Archway itself, each of which means one upstream.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use protocol::host::{Host, HostPattern};

use crate::{
    error::{Problem, Problems},
    field::Field,
};

/// Which upstream each virtual host means, while the file is being read.
#[derive(Default)]
pub(super) struct VirtualHosts {
    pub(super) upstreams: BTreeMap<Host, Host>,
    places: HashMap<Host, Range<usize>>,
}

impl VirtualHosts {
    pub(super) fn claim(
        &mut self,
        pattern: &HostPattern,
        hosts: Vec<Field<Host>>,
        problems: &mut Problems,
    ) {
        for field in hosts {
            let span = field.span.clone();
            let Some(host) = field.take("hosts", problems) else {
                continue;
            };
            let Some(upstream) = pattern.exact() else {
                let problem = Problem::new(
                    span,
                    format!("`hosts` needs one upstream, `{pattern}` is many"),
                );
                problems.add(
                    problem
                        .label("means no single registry")
                        .help("move it to the table of one host"),
                );
                continue;
            };
            if let Some(first) = self.places.insert(host.clone(), span.clone()) {
                let problem = Problem::new(
                    span,
                    format!("two upstreams claim the virtual host `{host}`"),
                );
                problems.add(
                    problem
                        .label("already taken")
                        .other(first, "first claimed here"),
                );
                continue;
            }
            self.upstreams.insert(host, upstream.clone());
        }
    }
}
