//! The checks of the files a configuration names: passwords, certificates and keys.
//!
//! A bad file is reported at start rather than at the first pull or handshake, with the line that
//! names it. Nothing is opened before `Problems::check_files`.

use std::{
    error::Error,
    ops::Range,
    path::{Path, PathBuf},
};

use protocol::error_chain::ErrorChain;
use rustls::RootCertStore;
use toml::Spanned;

use crate::{
    key_pair::{self, Flaw, KeyPairFiles, PairFile},
    problem::{Problem, Problems},
    secret::SecretSource,
};

const AUTHORITIES_HELP: &str = "name a file with certificates in PEM form; convert one in DER with: openssl x509 -inform der -in FILE";

/// Checks that two files are a certificate and its key. `names` are the keys that name them.
pub(crate) fn key_pair(
    names: [&'static str; 2],
    [cert, key]: [Spanned<PathBuf>; 2],
    purpose: &'static str,
    problems: &Problems,
) -> KeyPairFiles {
    let spans = [cert.span(), key.span()];
    let files = KeyPairFiles {
        cert: cert.into_inner(),
        key: key.into_inner(),
    };
    let checked = files.clone();
    problems.check_later(move || {
        let error = checked.read().err()?;
        let ([cert_name, key_name], [cert, key]) = (names, spans);
        let problem = match error.file {
            PairFile::Cert => {
                Problem::new(cert, format!("`{cert_name}` is no certificate {purpose}"))
            }
            PairFile::Key => Problem::new(key, format!("`{key_name}` is no key {purpose}")),
        };
        let label = ErrorChain(&error).to_string();
        Some(problem.label(label).help(error.flaw.help()))
    });
    files
}

/// Checks that the file of `ca_file` has authorities in it.
pub(crate) fn authorities(file: Spanned<PathBuf>, problems: &Problems) -> PathBuf {
    let (span, path) = (file.span(), file.into_inner());
    let checked = path.clone();
    problems.check_later(move || {
        let problem = match check_authorities(&checked).err()? {
            Flaw::Unreadable(error) => {
                Problem::new(span, "`ca_file` cannot be read").label(error.to_string())
            }
            flaw => Problem::new(span, "`ca_file` names no authority")
                .label(ErrorChain(&flaw).to_string()),
        };
        Some(problem.help(AUTHORITIES_HELP))
    });
    path
}

/// Bundles contain unusable certificates among the good ones; one good one is enough.
fn check_authorities(path: &Path) -> Result<(), Flaw> {
    let mut roots = RootCertStore::empty();
    let added = key_pair::certificates(path)?
        .into_iter()
        .map(|certificate| roots.add(certificate));
    added
        .reduce(Result::or)
        .unwrap_or(Ok(()))
        .map_err(Flaw::BadCertificate)
}

/// Checks that a password can be read from its place.
pub(crate) fn password(source: &SecretSource, span: Range<usize>, problems: &Problems) {
    let source = source.clone();
    problems.check_later(move || {
        let error = source.read().err()?;
        let (key, help) = match source {
            SecretSource::File(_) => (
                "password_file",
                "put the password and nothing else into the file; a line end is ignored",
            ),
            SecretSource::Variable(_) => (
                "password_env",
                "set the variable to the password and nothing else",
            ),
            SecretSource::Credential(_) => (
                "password_credential",
                "systemd sets $CREDENTIALS_DIRECTORY for a unit with LoadCredential= or LoadCredentialEncrypted=",
            ),
        };
        let reason = error
            .source()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        let problem = Problem::new(span, format!("`{key}` holds no password"));
        Some(problem.label(format!("{error}{reason}")).help(help))
    });
}
