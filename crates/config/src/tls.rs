//! `tls` of a `[[listener]]`: the certificate it shows; and what every pair of a certificate and a key is checked for.

use std::path::PathBuf;

use protocol::error_chain::ErrorChain;
use serde::Deserialize;

use super::{
    error::{Problem, Problems},
    field::Field,
    key_pair::{KeyPair, PairFile},
    print::{Page, quoted},
};

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
    pub(super) fn resolve(self, problems: &mut Problems) -> Option<KeyPair> {
        let files = [("cert", self.cert), ("key", self.key)];
        pair(files, "to serve with", problems)
    }
}

/// The pair in a certificate's file and a key's, when they are one now: a bad one shows at start rather than at the first
/// handshake.
pub(super) fn pair(
    [(cert_name, cert), (key_name, key)]: [(&str, Field<PathBuf>); 2],
    purpose: &str,
    problems: &mut Problems,
) -> Option<KeyPair> {
    let spans = [cert.span.clone(), key.span.clone()];
    let cert = cert.take(cert_name, problems);
    let key = key.take(key_name, problems);
    let error = match KeyPair::from_files(cert?, key?) {
        Ok(pair) => return Some(pair),
        Err(error) => error,
    };
    let [cert, key] = spans;
    let problem = match error.file {
        PairFile::Cert => Problem::new(cert, format!("`{cert_name}` is no certificate {purpose}")),
        PairFile::Key => Problem::new(key, format!("`{key_name}` is no key {purpose}")),
    };
    problems.add(
        problem
            .label(ErrorChain(&error).to_string())
            .help(error.flaw.help()),
    );
    None
}

pub(super) fn print(pair: &KeyPair, page: &mut Page) {
    let [cert, key] = [pair.cert(), pair.key()].map(|path| quoted(&path.to_string_lossy()));
    page.raw("tls", format_args!("{{ cert = {cert}, key = {key} }}"));
}
