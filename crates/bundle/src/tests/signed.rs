//! Signatures: by a trusted key over this lock, or refused.

use std::io::Cursor;

use minisign::KeyPair;

use super::*;
use crate::{KeyNumber, PublicKey, SIGNATURE_BYTES, SignatureError, signer, trusted_comment};

/// The bytes of a bundle, signed in place.
fn signed(mut bytes: Vec<u8>, key: &KeyPair) -> Vec<u8> {
    let bundle = Bundle::open(&mut bytes.as_slice()).unwrap();
    let comment = trusted_comment(bundle.lock(), bundle.lock_bytes());
    let lock = Cursor::new(bundle.lock_bytes());
    let signature = minisign::sign(None, &key.sk, lock, Some(&comment), None).unwrap();
    let text = signature.into_string();
    let at = usize::try_from(bundle.layout().signature_at()).unwrap();
    assert!(text.len() as u64 <= SIGNATURE_BYTES);
    bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn public(key: &KeyPair) -> PublicKey {
    let text = key.pk.clone().to_box().unwrap().into_string();
    let whole: PublicKey = text.parse().unwrap();
    let line: PublicKey = key.pk.to_base64().parse().unwrap();
    assert_eq!(whole.number(), line.number());
    whole
}

fn judged(bytes: &[u8], trusted: &[PublicKey]) -> Result<KeyNumber, SignatureError> {
    signer(&Bundle::open(&mut &*bytes).unwrap(), trusted)
}

#[test]
fn a_bundle_is_trusted_if_a_trusted_key_has_signed_its_lock() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 3000);
    let unsigned = bytes_of(&store, &lock);
    let [ours, theirs] = [(); 2].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
    let both = [public(&theirs), public(&ours)];
    assert!(matches!(
        judged(&unsigned, &both),
        Err(SignatureError::Unsigned)
    ));

    let bytes = signed(unsigned.clone(), &ours);
    assert_eq!(judged(&bytes, &both).unwrap(), both[1].number());
    assert_eq!(damages(&bytes), Ok(Vec::new()));
    let error = judged(&bytes, &both[..1]).unwrap_err();
    assert!(matches!(error, SignatureError::Untrusted { .. }), "{error}");

    // The same signature in a bundle with another lock.
    let mut other = lock.clone();
    other.created = "2026-11-29T00:00:00Z".to_owned();
    let mut changed = bytes_of(&store, &other);
    let slot = Bundle::open(&mut bytes.as_slice()).unwrap();
    let slot = usize::try_from(slot.layout().signature_at()).unwrap();
    let slot = slot..slot + usize::try_from(SIGNATURE_BYTES).unwrap();
    changed[slot.clone()].copy_from_slice(&bytes[slot]);
    let error = judged(&changed, &both).unwrap_err();
    assert!(matches!(error, SignatureError::Wrong { .. }), "{error}");
}

#[test]
fn what_is_no_signature_is_refused_as_such() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 3000);
    let mut bytes = bytes_of(&store, &lock);
    let bundle = Bundle::open(&mut bytes.as_slice()).unwrap();
    let at = usize::try_from(bundle.layout().signature_at()).unwrap();
    bytes[at..at + 5].copy_from_slice(b"hello");
    let error = judged(&bytes, &[]).unwrap_err();
    assert!(matches!(error, SignatureError::Malformed), "{error}");
    for text in ["", "RW", "untrusted comment: x\n", "RWR-no key of minisign"] {
        assert!(text.parse::<PublicKey>().is_err(), "{text}");
    }
}
