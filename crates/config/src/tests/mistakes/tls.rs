//! Certificates and keys that cannot be used.

use super::assert_picture;
use crate::tests::PairOnDisk;

#[test]
fn a_missing_certificate_is_refused_at_load() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
tls = { cert = "/nowhere/tls.crt", key = "/nowhere/tls.key" }"#,
        r#"
error: `cert` is no certificate to serve with
 --> archway.toml:3:16
  |
3 | tls = { cert = "/nowhere/tls.crt", key = "/nowhere/tls.key" }
  |                ^^^^^^^^^^^^^^^^^^ cannot use /nowhere/tls.crt: No such file or directory (os error 2)
  |
  = help: name a file in PEM form that the user Archway runs as may read"#,
    );
}

#[test]
fn a_file_without_a_certificate_is_refused_at_load() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
[listener.tls]
cert = "/dev/null"
key = "/dev/null""#,
        r#"
error: `cert` is no certificate to serve with
 --> archway.toml:4:8
  |
4 | cert = "/dev/null"
  |        ^^^^^^^^^^^ cannot use /dev/null: there is no certificate in it
  |
  = help: it holds the certificate of the key, then those that lead to its authority"#,
    );
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_refused_at_load() {
    let (pair, other) = (PairOnDisk::new(), PairOnDisk::new());
    let (cert, key) = (pair.path("tls.crt"), other.path("tls.key"));
    let (cert, key) = (cert.display(), key.display());
    let marks = "^".repeat(key.to_string().len() + 2);
    let text = format!(
        r#"
[[listener]]
address = "127.0.0.1:5000"
[listener.tls]
cert = "{cert}"
key = "{key}""#
    );
    let picture = format!(
        r#"
error: `key` is no key to serve with
 --> archway.toml:5:7
  |
5 | key = "{key}"
  |       {marks} cannot use {key}: the key in it does not belong to the first certificate
  |
  = help: the certificate of the key comes first in its file"#
    );
    assert_picture(&text, &picture);
}

#[test]
fn a_certificate_needs_its_key() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
tls = { cert = "/dev/null" }"#,
        r#"
error: missing key `key`
 --> archway.toml:3:7
  |
3 | tls = { cert = "/dev/null" }
  |       ^^^^^^^^^^^^^^^^^^^^^^ `key` must be set here"#,
    );
}

#[test]
fn a_switch_is_no_certificate() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
tls = true"#,
        r#"
error: a table such as { cert = "...", key = "..." } is expected here
 --> archway.toml:3:7
  |
3 | tls = true
  |       ^^^^ found boolean `true`"#,
    );
}

#[test]
fn a_file_without_authorities_is_refused_at_load() {
    assert_picture(
        r#"
[upstream."docker.io"]
ca_file = "/dev/null""#,
        r#"
error: `ca_file` names no authority
 --> archway.toml:2:11
  |
2 | ca_file = "/dev/null"
  |           ^^^^^^^^^^^ there is no certificate in it
  |
  = help: name a file with certificates in PEM form; convert one in DER with: openssl x509 -inform der -in FILE"#,
    );
}

#[test]
fn a_client_certificate_and_the_key_of_another_are_refused_at_load() {
    let (pair, other) = (PairOnDisk::new(), PairOnDisk::new());
    let (cert, key) = (pair.path("tls.crt"), other.path("tls.key"));
    let (cert, key) = (cert.display(), key.display());
    let marks = "^".repeat(key.to_string().len() + 2);
    let text = format!(
        r#"
[upstream."docker.io"]
client_cert_file = "{cert}"
client_key_file = "{key}""#
    );
    let picture = format!(
        r#"
error: `client_key_file` is no key to identify with
 --> archway.toml:3:19
  |
3 | client_key_file = "{key}"
  |                   {marks} cannot use {key}: the key in it does not belong to the first certificate
  |
  = help: the certificate of the key comes first in its file"#
    );
    assert_picture(&text, &picture);
}
