//! A config file, put together from what a test cares about; everything else is free ports, a cache
//! in the test's folder and a JSON log.

use std::fmt::{Display, Write};
use std::process::Output;

use super::{Archway, Place};
use crate::aws;
use crate::registry::FakeRegistry;

/// The name of the upstream of [`Setup::in_front_of`].
pub const UPSTREAM: &str = "registry.test";

/// A config in the making.
#[derive(Clone, Default)]
pub struct Setup {
    top: String,
    listeners: Vec<String>,
    admin: String,
    cache: String,
    prefetch: String,
    tables: String,
    level: Option<&'static str>,
    environment: Vec<(String, String)>,
    limit: Option<&'static str>,
    run_by: Vec<String>,
}

impl Setup {
    /// One registry listener and one admin listener, no upstream yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that a test needs that has one upstream: it is called [`UPSTREAM`], and a name without a
    /// host means it.
    pub fn in_front_of(registry: &FakeRegistry) -> Self {
        Self::in_front_of_with(registry, "")
    }

    /// The same, with more lines for the upstream's table.
    pub fn in_front_of_with(registry: &FakeRegistry, lines: &str) -> Self {
        Self::in_front_of_as(UPSTREAM, registry, lines)
    }

    /// The same with another name for the upstream.
    pub fn in_front_of_as(host: &str, registry: &FakeRegistry, lines: &str) -> Self {
        Self::new()
            .top(&format!("default_upstream = \"{host}\""))
            .upstream_with(host, registry, lines)
    }

    /// An upstream `host` whose only endpoint is `registry`.
    #[must_use]
    pub fn upstream(self, host: &str, registry: &FakeRegistry) -> Self {
        self.upstream_with(host, registry, "")
    }

    /// The same, with more lines for its table.
    #[must_use]
    pub fn upstream_with(self, host: &str, registry: &FakeRegistry, lines: &str) -> Self {
        self.upstream_at(host, &[registry.url()], lines)
    }

    /// An upstream `host` with these URLs as its endpoints, and more lines for its table.
    #[must_use]
    pub fn upstream_at(mut self, host: &str, urls: &[String], lines: &str) -> Self {
        let table = format!("[upstream.\"{host}\"]\nendpoints = {urls:?}\n{lines}\n\n");
        self.tables.push_str(&table);
        self
    }

    /// Lines before every table.
    #[must_use]
    pub fn top(mut self, lines: &str) -> Self {
        self.top.push_str(lines);
        self.top.push('\n');
        self
    }

    /// A listener on a free port of `ip`, with more lines for its table. None given: one on
    /// 127.0.0.1.
    #[must_use]
    pub fn listener(self, ip: &str, lines: &str) -> Self {
        self.listener_at(&format!("{ip}:0"), lines)
    }

    /// The same on a port of one's own choice.
    #[must_use]
    pub fn listener_at(mut self, address: &str, lines: &str) -> Self {
        let table = format!("[[listener]]\naddress = \"{address}\"\n{lines}\n\n");
        self.listeners.push(table);
        self
    }

    /// More lines for `[admin]`.
    #[must_use]
    pub fn admin(mut self, lines: &str) -> Self {
        self.admin.push_str(lines);
        self.admin.push('\n');
        self
    }

    /// More lines for `[cache]`.
    #[must_use]
    pub fn cache(mut self, lines: &str) -> Self {
        self.cache.push_str(lines);
        self.cache.push('\n');
        self
    }

    /// Lines for `[prefetch]`, which is off otherwise: a test counts what clients cause.
    #[must_use]
    pub fn prefetch(mut self, lines: &str) -> Self {
        self.prefetch.push_str(lines);
        self.prefetch.push('\n');
        self
    }

    /// A whole table; of a listener, see [`Self::listener_at`], which counts it.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        self.tables.push_str(table);
        self.tables.push_str("\n\n");
        self
    }

    /// The log level; `info` where none is given.
    #[must_use]
    pub fn log_level(mut self, level: &'static str) -> Self {
        self.level = Some(level);
        self
    }

    /// A variable of the process's environment, which is empty otherwise.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Display) -> Self {
        self.environment.push((key.to_owned(), value.to_string()));
        self
    }

    /// A limit the process starts with, as the shell's `ulimit` takes it: `-Sn 128`.
    #[must_use]
    pub fn limit(mut self, limit: &'static str) -> Self {
        self.limit = Some(limit);
        self
    }

    /// What the server is run by: a program and its arguments, which has to become the server.
    #[must_use]
    pub fn run_by(mut self, program: &[String]) -> Self {
        self.run_by = program.to_vec();
        self
    }

    /// The process finds the AWS credentials of [`aws::environment`] in its environment.
    #[must_use]
    pub fn aws_credentials(self) -> Self {
        let pairs = aws::environment().into_iter();
        pairs.fold(self, |setup, (key, value)| setup.env(key, value))
    }

    /// Starts Archway with it, in a new folder.
    pub async fn start(self) -> Archway {
        self.place().start().await
    }

    /// The same, with more arguments for `archway serve`.
    pub async fn start_with(self, arguments: &[&str]) -> Archway {
        self.place().with_arguments(arguments).start().await
    }

    /// Runs `archway` with `arguments` to its end; `CONFIG` among them is the path of this config.
    pub async fn run(self, arguments: &[&str]) -> Output {
        let place = self.place();
        let config = place.config();
        let config = config.to_str().expect("a plain path");
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|word| if *word == "CONFIG" { config } else { word })
            .collect();
        place.run(&arguments).await
    }

    fn place(&self) -> Place {
        let listeners = self.listeners.len().max(1) + 1;
        let place = Place::new(self.environment.clone(), listeners)
            .with_limit(self.limit)
            .run_by(self.run_by.clone());
        std::fs::write(place.config(), self.text(&place)).expect("a writable folder");
        place
    }

    fn text(&self, place: &Place) -> String {
        let mut text = self.top.clone();
        if self.listeners.is_empty() {
            text.push_str("[[listener]]\naddress = \"127.0.0.1:0\"\n\n");
        }
        text.extend(self.listeners.iter().map(String::as_str));
        let _ = write!(
            text,
            "[admin]\naddress = \"127.0.0.1:0\"\n{}\n\
             [log]\nformat = \"json\"\nlevel = \"{}\"\n\n\
             [prefetch]\n{}\n\n\
             [cache]\npath = \"{}\"\n{}\n{}",
            self.admin,
            self.level.unwrap_or("info"),
            if self.prefetch.is_empty() {
                "mode = \"off\""
            } else {
                &self.prefetch
            },
            place.cache().display(),
            self.cache,
            self.tables,
        );
        text
    }
}
