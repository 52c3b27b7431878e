//! The judgement on a server's certificate: the platform's, but for certificates that the operator
//! has named, and with words for what is wrong.

use std::{net::Ipv6Addr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_cert::{
    Certificate, TbsCertificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
    time::Time,
};

use crate::CertificateFault;

/// The platform's verifier, and the certificates of `ca_file`.
#[derive(Debug)]
pub(super) struct Verifier<V> {
    platform: V,
    own: Vec<CertificateDer<'static>>,
}

impl<V: ServerCertVerifier> Verifier<V> {
    /// Trusts what `platform` does, and each of `own` as a server's own certificate.
    pub(super) fn new(platform: V, own: Vec<CertificateDer<'static>>) -> Self {
        Self { platform, own }
    }

    /// Judges a certificate that the operator has named. Its name and dates count all the same.
    fn named(
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        let parsed = Certificate::from_der(shown).map_err(|_| CertificateError::BadEncoding)?;
        let validity = parsed.tbs_certificate.validity;
        let now = now.as_secs();
        if now > validity.not_after.to_unix_duration().as_secs() {
            return Err(CertificateError::Expired.into());
        }
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(CertificateError::NotValidYet.into());
        }
        Ok(ServerCertVerified::assertion())
    }
}

impl<V: ServerCertVerifier> ServerCertVerifier for Verifier<V> {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = if self.own.contains(shown) {
            Self::named(shown, name, now)
        } else {
            self.platform
                .verify_server_cert(shown, chain, name, ocsp, now)
        };
        verdict.map_err(|error| match &error {
            Error::InvalidCertificate(reason) => {
                let fault = fault(reason, shown, chain, name);
                fault.map_or(error, |fault| {
                    CertificateError::Other(OtherError(Arc::new(fault))).into()
                })
            }
            _ => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.platform
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.platform
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.platform.supported_verify_schemes()
    }
}

/// The words for a refusal; none where the library's own are as good.
fn fault(
    reason: &CertificateError,
    shown: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
) -> Option<CertificateFault> {
    let certificate = Certificate::from_der(shown).ok()?.tbs_certificate;
    Some(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            // It may be that of an authority between.
            let on = last_second(shown)?;
            let on = chain.iter().filter_map(last_second).fold(on, earlier);
            CertificateFault::Expired { on }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid {
                from: certificate.validity.not_before,
            }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherName {
                wanted: name.to_str().into_owned(),
                names: names(&certificate),
            }
        }
        _ if certificate.issuer == certificate.subject => CertificateFault::SelfSigned,
        CertificateError::UnknownIssuer => {
            // The certificate nearest to the authority names it.
            let last = chain
                .last()
                .and_then(|last| Certificate::from_der(last).ok());
            let issuer = last.map_or(certificate.issuer, |last| last.tbs_certificate.issuer);
            CertificateFault::UnknownAuthority {
                issuer: issuer.to_string(),
            }
        }
        _ => return None,
    })
}

fn last_second(certificate: &CertificateDer<'_>) -> Option<Time> {
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate.validity.not_after)
}

fn earlier(one: Time, other: Time) -> Time {
    if other.to_unix_duration() < one.to_unix_duration() {
        other
    } else {
        one
    }
}

/// The names that a certificate is for, as clients read them.
fn names(certificate: &TbsCertificate) -> String {
    let found: Option<(_, SubjectAltName)> = certificate.get().ok().flatten();
    let names = found.map(|(_, names)| names.0).unwrap_or_default();
    let names: Vec<_> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            GeneralName::IpAddress(address) => match address.as_bytes() {
                [a, b, c, d] => Some(format!("{a}.{b}.{c}.{d}")),
                bytes => {
                    let bytes: [u8; 16] = bytes.try_into().ok()?;
                    Some(Ipv6Addr::from(bytes).to_string())
                }
            },
            _ => None,
        })
        .collect();
    if names.is_empty() {
        "no server".to_owned()
    } else {
        names.join(", ")
    }
}
