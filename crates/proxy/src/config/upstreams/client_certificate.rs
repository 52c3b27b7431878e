//! What Archway shows to an upstream that asks for a certificate.

use std::path::PathBuf;

use crate::config::error::{Problem, Problems};
use crate::config::field::Field;
use crate::config::print::Page;

/// Two PEM files; both were readable at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and its root.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// From the two keys of the file; one without the other is a problem.
    pub(super) fn resolve(
        chain: Option<Field<PathBuf>>,
        key: Option<Field<PathBuf>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let lone = match (&chain, &key) {
            (Some(field), None) => {
                Some((field.span.clone(), "client_cert_file", "client_key_file"))
            }
            (None, Some(field)) => {
                Some((field.span.clone(), "client_key_file", "client_cert_file"))
            }
            _ => None,
        };
        if let Some((span, here, missing)) = lone {
            let problem = Problem::new(span, format!("`{here}` needs `{missing}`"));
            problems.add(
                problem
                    .label("only one of the two")
                    .help("a certificate and its key are two PEM files; name both"),
            );
        }
        let chain = chain.and_then(|field| readable(field, "client_cert_file", problems));
        let key = key.and_then(|field| readable(field, "client_key_file", problems));
        let (chain, key) = chain.zip(key)?;
        Some(Self { chain, key })
    }

    pub(super) fn print(&self, page: &mut Page) {
        page.string("client_cert_file", &self.chain.to_string_lossy());
        page.string("client_key_file", &self.key.to_string_lossy());
    }
}

/// The path, when the file can be opened: a missing one shows at start rather than at the first pull.
pub(super) fn readable(
    field: Field<PathBuf>,
    key: &str,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let span = field.span.clone();
    let path = field.take(key, problems)?;
    match std::fs::read(&path) {
        Ok(_) => Some(path),
        Err(error) => {
            let problem = Problem::new(span, format!("`{key}` cannot be read"));
            problems.add(
                problem
                    .label(error.to_string())
                    .help("name a file in PEM form"),
            );
            None
        }
    }
}
