//! `tls` of a `[[listener]]`: the certificate it shows.

use std::path::PathBuf;

use serde::Deserialize;

use crate::upstream::Chain;

use super::error::{Problem, Problems};
use super::field::Field;
use super::key_pair::{KeyPair, PairFile};
use super::print::{Page, quoted};

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { cert = \"...\", key = \"...\" }"
)]
pub(super) struct RawTls {
    cert: Field<PathBuf>,
    key: Field<PathBuf>,
}

impl RawTls {
    /// The pair, when the files are one now: a bad one shows at start rather than at the first handshake.
    pub(super) fn resolve(self, problems: &mut Problems) -> Option<KeyPair> {
        let spans = [self.cert.span.clone(), self.key.span.clone()];
        let cert = self.cert.take("cert", problems);
        let key = self.key.take("key", problems);
        let error = match KeyPair::from_files(cert?, key?) {
            Ok(pair) => return Some(pair),
            Err(error) => error,
        };
        let [cert, key] = spans;
        let problem = match error.file {
            PairFile::Cert => Problem::new(cert, "`cert` is no certificate to serve with"),
            PairFile::Key => Problem::new(key, "`key` is no key to serve with"),
        };
        problems.add(
            problem
                .label(Chain(&error).to_string())
                .help(error.flaw.help()),
        );
        None
    }
}

pub(super) fn print(pair: &KeyPair, page: &mut Page) {
    let [cert, key] = [pair.cert(), pair.key()].map(|path| quoted(&path.to_string_lossy()));
    page.raw("tls", format_args!("{{ cert = {cert}, key = {key} }}"));
}
