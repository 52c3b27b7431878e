//! Pairs that are accepted and pairs that are refused.

use std::{fs, sync::LazyLock};

use proptest::prelude::*;
use rcgen::{CertificateParams, SignatureAlgorithm};
use tempfile::TempDir;

use super::{
    PairFile::{Cert, Key},
    *,
};

struct Pem {
    cert: String,
    key: String,
}

fn made(algorithm: &'static SignatureAlgorithm) -> Pem {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let params = CertificateParams::new(["archway.test".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    Pem {
        cert,
        key: key.serialize_pem(),
    }
}

fn p256() -> Pem {
    made(&rcgen::PKCS_ECDSA_P256_SHA256)
}

/// A folder with a `tls.crt` and a `tls.key`.
struct Folder(TempDir);

impl Folder {
    fn with(cert: &str, key: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.cert(), cert).unwrap();
        fs::write(folder.key(), key).unwrap();
        folder
    }

    fn cert(&self) -> PathBuf {
        self.0.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("tls.key")
    }

    fn files(&self) -> KeyPairFiles {
        KeyPairFiles {
            cert: self.cert(),
            key: self.key(),
        }
    }

    fn load(&self) -> Result<CertifiedKey, KeyPairError> {
        self.files().read()
    }
}

#[track_caller]
fn refused(cert: &str, key: &str) -> (PairFile, Flaw) {
    let folder = Folder::with(cert, key);
    let error = folder.load().unwrap_err();
    let path = match error.file {
        PairFile::Cert => folder.cert(),
        PairFile::Key => folder.key(),
    };
    assert_eq!(error.path, path);
    (error.file, error.flaw)
}

#[test]
fn every_kind_of_key_in_use_is_taken() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let pem = made(algorithm);
        Folder::with(&pem.cert, &pem.key).load().unwrap();
    }
}

#[test]
fn one_file_may_hold_both_and_others_may_follow_the_servers_certificate() {
    let (own, authority) = (p256(), p256());
    let all = format!("{}{}{}", own.key, own.cert, authority.cert);
    let pair = Folder::with(&all, &all).load().unwrap();
    assert_eq!(pair.cert.len(), 2);
}

#[test]
fn an_expired_certificate_is_taken() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["archway.test".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let cert = params.self_signed(&key).unwrap();
    Folder::with(&cert.pem(), &key.serialize_pem())
        .load()
        .unwrap();
}

#[test]
fn what_is_wrong_is_said_of_the_file_that_is_wrong() {
    let (pem, other) = (p256(), p256());
    let cut = &pem.cert[..pem.cert.len() / 2];
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked_of_old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                         -----END RSA PRIVATE KEY-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(refused("", &pem.key), (Cert, Flaw::NoCertificate)));
    assert!(matches!(
        refused(&pem.key, &pem.key),
        (Cert, Flaw::NoCertificate)
    ));
    assert!(matches!(refused(cut, &pem.key), (Cert, Flaw::NotPem(_))));
    assert!(matches!(
        refused(no_certificate, &pem.key),
        (Cert, Flaw::BadCertificate(_))
    ));
    assert!(matches!(refused(&pem.cert, ""), (Key, Flaw::NoKey)));
    assert!(matches!(refused(&pem.cert, &pem.cert), (Key, Flaw::NoKey)));
    assert!(matches!(refused(&pem.cert, locked), (Key, Flaw::Locked)));
    assert!(matches!(
        refused(&pem.cert, locked_of_old),
        (Key, Flaw::Locked)
    ));
    assert!(matches!(refused(&pem.cert, no_key), (Key, Flaw::BadKey(_))));
    assert!(matches!(
        refused(&pem.cert, &other.key),
        (Key, Flaw::Mismatch)
    ));
    let wrong_order = format!("{}{}", other.cert, pem.cert);
    assert!(matches!(
        refused(&wrong_order, &pem.key),
        (Key, Flaw::Mismatch)
    ));
    let endless = KeyPairFiles {
        cert: "/dev/zero".into(),
        key: "/dev/zero".into(),
    }
    .read()
    .unwrap_err();
    assert!(matches!(endless.flaw, Flaw::Unreadable(_)));
}

/// Both texts of a good pair.
static GOOD: LazyLock<Pem> = LazyLock::new(p256);

/// The whole way of two texts without the files.
fn judged(cert: &[u8], key: &[u8]) -> Option<CertifiedKey> {
    let chain = pem::chain(cert).ok()?;
    pem::pair(chain, &pem::key(key).ok()?).ok()
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(cert in any::<Vec<u8>>(), key in any::<Vec<u8>>()) {
        judged(&cert, GOOD.key.as_bytes());
        judged(GOOD.cert.as_bytes(), &key);
        judged(&cert, &key);
    }

    #[test]
    fn no_section_makes_reading_panic(der in any::<Vec<u8>>(), kind in "(RSA |EC |ENCRYPTED )?PRIVATE KEY|CERTIFICATE") {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let text = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", BASE64_STANDARD.encode(der));
        judged(text.as_bytes(), GOOD.key.as_bytes());
        judged(GOOD.cert.as_bytes(), text.as_bytes());
    }

    /// A key that is no longer the certificate's is refused, whichever byte of either has changed.
    #[test]
    fn a_damaged_pair_is_the_same_pair_or_none(in_key: bool, at in any::<prop::sample::Index>(), byte: u8) {
        let mut texts = [GOOD.cert.clone().into_bytes(), GOOD.key.clone().into_bytes()];
        let text = &mut texts[usize::from(in_key)];
        let at = at.index(text.len());
        text[at] = byte;
        if let Some(pair) = judged(&texts[0], &texts[1]) {
            let whole = judged(GOOD.cert.as_bytes(), GOOD.key.as_bytes()).unwrap();
            prop_assert_eq!(pair.key.public_key(), whole.key.public_key());
        }
    }

    /// People keep notes in such files, and tools print the certificate's fields above it.
    #[test]
    fn text_between_the_sections_does_not_matter(before in "([a-z =:,]{0,40}\n){0,3}", after in "([a-z =:,]{0,40}\n){0,3}") {
        let cert = format!("{before}{}{after}", GOOD.cert);
        let key = format!("{before}{}{after}", GOOD.key);
        prop_assert!(judged(cert.as_bytes(), key.as_bytes()).is_some());
    }
}
