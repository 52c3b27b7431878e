//! Certificates that nothing can be served with.

use super::assert_picture;
use crate::config::tests::PairOnDisk;

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
  = help: it holds the server's certificate, then those that lead to its authority"#,
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
  = help: the server's own certificate comes first in `cert`"#
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
        r"
error: missing key `key`
 --> archway.toml:3:7
  |
3 | tls = { cert = *********** }
  |       ^^^^^^^^^^^^^^^^^^^^^^ `key` must be set here",
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
