//! Rates, times of single tags, and certificates.

use super::assert_picture;

#[test]
fn a_rate_says_its_time() {
    assert_picture(
        r#"
[upstream."docker.io"]
rate = "5""#,
        r#"
error: `rate` must be a number of calls and a time
 --> archway.toml:2:8
  |
2 | rate = "5"
  |        ^^^ the time is missing
  |
  = help: write it like this: "10/s" or "100/6h""#,
    );
}

#[test]
fn a_rate_is_more_than_nothing() {
    assert_picture(
        r#"
[upstream."docker.io"]
blob_rate = "0/s""#,
        r#"
error: `blob_rate` must be a number of calls and a time
 --> archway.toml:2:13
  |
2 | blob_rate = "0/s"
  |             ^^^^^ from 1 to 1000000 calls are possible
  |
  = help: write it like this: "10/s" or "100/6h""#,
    );
}

#[test]
fn a_burst_is_at_least_one_call() {
    assert_picture(
        r#"
[upstream."docker.io"]
burst = 0"#,
        r"
error: `burst` is out of bounds
 --> archway.toml:2:9
  |
2 | burst = 0
  |         ^ from 1 to 1000000 is possible",
    );
}

#[test]
fn the_time_of_a_tag_needs_its_unit() {
    assert_picture(
        r#"
[upstream."docker.io"]
tag_ttls = { "nightly-*" = "5" }"#,
        r#"
error: `tag_ttls` must be a duration with its unit
 --> archway.toml:2:28
  |
2 | tag_ttls = { "nightly-*" = "5" }
  |                            ^^^ the unit is missing
  |
  = help: add one, for example "5s""#,
    );
}

#[test]
fn a_client_certificate_needs_its_key() {
    assert_picture(
        r#"
[upstream."docker.io"]
client_cert_file = "/dev/null""#,
        r#"
error: `client_cert_file` needs `client_key_file`
 --> archway.toml:2:20
  |
2 | client_cert_file = "/dev/null"
  |                    ^^^^^^^^^^^ only one of the two
  |
  = help: a certificate and its key are two PEM files; name both"#,
    );
}

#[test]
fn a_private_host_is_no_url() {
    assert_picture(
        r#"
[upstream."docker.io"]
private_hosts = ["https://minio.internal/"]"#,
        r#"
error: `private_hosts` must be a registry's host
 --> archway.toml:2:18
  |
2 | private_hosts = ["https://minio.internal/"]
  |                  ^^^^^^^^^^^^^^^^^^^^^^^^^ this is a URL
  |
  = help: write the host alone: "minio.internal""#,
    );
}
