//! Who we are below HTTP, and where in a private network an upstream may send us.

use std::path::{Path, PathBuf};

use crate::config::error::{Problem, Problems};
use crate::config::field::Field;
use crate::config::print::Page;
use crate::protocol::host::Host;

/// The connection's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport {
    /// What Archway shows when the upstream asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// Hosts on this machine, link-local or in a private network that redirects and token realms may lead to.
    pub private_hosts: Vec<Host>,
}

/// Two PEM files; both were readable at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and its root.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The keys as the file has them.
#[derive(Debug, Default)]
pub(super) struct RawTransport {
    pub(super) client_cert_file: Option<Field<PathBuf>>,
    pub(super) client_key_file: Option<Field<PathBuf>>,
    pub(super) private_hosts: Vec<Field<Host>>,
}

impl RawTransport {
    pub(super) fn resolve(self, problems: &mut Problems) -> Transport {
        let lone = match (&self.client_cert_file, &self.client_key_file) {
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
        let chain = self
            .client_cert_file
            .and_then(|field| readable(field, "client_cert_file", problems));
        let key = self
            .client_key_file
            .and_then(|field| readable(field, "client_key_file", problems));
        let hosts = self.private_hosts.into_iter();
        Transport {
            client_certificate: chain
                .zip(key)
                .map(|(chain, key)| ClientCertificate { chain, key }),
            private_hosts: hosts
                .filter_map(|field| field.take("private_hosts", problems))
                .collect(),
        }
    }
}

impl Transport {
    pub(super) fn print(&self, page: &mut Page) {
        let file = |path: &Path| path.to_string_lossy().into_owned();
        if let Some(certificate) = &self.client_certificate {
            page.string("client_cert_file", &file(&certificate.chain));
            page.string("client_key_file", &file(&certificate.key));
        }
        page.list("private_hosts", &self.private_hosts);
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
