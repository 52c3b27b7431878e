//! Upstreams, and the listeners that name them.

use super::assert_picture;

#[test]
fn an_endpoint_has_no_path() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = ["https://registry-1.docker.io/v2/"]"#,
        r#"
error: `endpoints` must be the URL of a registry or an API
 --> archway.toml:2:14
  |
2 | endpoints = ["https://registry-1.docker.io/v2/"]
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ an endpoint has no path: /v2/ is added
  |
  = help: write "https://registry-1.docker.io""#,
    );
}

#[test]
fn an_endpoint_has_no_query() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = ["https://registry-1.docker.io?ns=x"]"#,
        r#"
error: `endpoints` must be the URL of a registry or an API
 --> archway.toml:2:14
  |
2 | endpoints = [***********************************]
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ an endpoint has no query and no fragment
  |
  = help: write "https://registry-1.docker.io""#,
    );
}

#[test]
fn an_endpoint_is_http_or_https() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = ["oci://registry-1.docker.io"]"#,
        r#"
error: `endpoints` must be the URL of a registry or an API
 --> archway.toml:2:14
  |
2 | endpoints = ["oci://registry-1.docker.io"]
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `oci` is not supported
  |
  = help: use https:// or http://"#,
    );
}

#[test]
fn an_endpoint_needs_its_scheme() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = ["127.0.0.1:5000"]"#,
        r#"
error: `endpoints` must be the URL of a registry or an API
 --> archway.toml:2:14
  |
2 | endpoints = ["127.0.0.1:5000"]
  |              ^^^^^^^^^^^^^^^^ the scheme is missing
  |
  = help: write "https://127.0.0.1:5000""#,
    );
}

#[test]
fn credentials_do_not_stand_in_an_endpoint() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = ["https://me@registry.example"]"#,
        r#"
error: `endpoints` must be the URL of a registry or an API
 --> archway.toml:2:14
  |
2 | endpoints = [*****************************]
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ credentials do not belong in a URL: use `auth`
  |
  = help: write "https://registry.example""#,
    );
}

#[test]
fn a_list_of_endpoints_is_not_empty() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = []"#,
        r"
error: `endpoints` is empty
 --> archway.toml:2:13
  |
2 | endpoints = []
  |             ^^ no endpoint to ask
  |
  = help: name one, or remove the key for https:// and the host",
    );
}

#[test]
fn beside_https_an_endpoint_on_http_says_whether_it_may_have_the_credentials() {
    assert_picture(
        r#"
[upstream."123456789012.dkr.ecr.eu-west-1.amazonaws.com"]
endpoints = ["http://peer:5000", "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"]"#,
        r#"
error: `endpoints` does not say whether credentials may be sent in the clear
 --> archway.toml:2:14
  |
2 | endpoints = ["http://peer:5000", "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"]
  |              ^^^^^^^^^^^^^^^^^^ http beside https
  |
  = help: write { url = "http://peer:5000", auth = false } to send none there, or auth = true"#,
    );
}

#[test]
fn an_endpoint_in_a_table_is_a_url_too() {
    assert_picture(
        r#"
[upstream."docker.io"]
endpoints = [{ url = "mirror.example", auth = false }]"#,
        r#"
error: `endpoints` must be the URL of a registry or an API
 --> archway.toml:2:22
  |
2 | endpoints = [{ url = "mirror.example", auth = false }]
  |                      ^^^^^^^^^^^^^^^^ the scheme is missing
  |
  = help: write "https://mirror.example""#,
    );
}

#[test]
fn a_key_is_a_host_rather_than_a_url() {
    assert_picture(
        r#"
[upstream."https://ghcr.io/"]"#,
        r#"
error: `upstream` must be a registry's host or a pattern
 --> archway.toml:1:11
  |
1 | [upstream."https://ghcr.io/"]
  |           ^^^^^^^^^^^^^^^^^^ this is a URL
  |
  = help: write the host alone: "ghcr.io""#,
    );
}

#[test]
fn a_pattern_spells_out_its_end() {
    assert_picture(
        r#"
[upstream."registry.*"]"#,
        r#"
error: `upstream` must be a registry's host or a pattern
 --> archway.toml:1:11
  |
1 | [upstream."registry.*"]
  |           ^^^^^^^^^^^^ the part after the last dot must not contain `*`: spell it out
  |
  = help: write it like this: [upstream."docker.io"] or [upstream."*.dkr.ecr.*.amazonaws.com"]"#,
    );
}

#[test]
fn two_spellings_of_one_upstream_are_refused() {
    assert_picture(
        r#"
[upstream."docker.io"]

[upstream."Docker.io"]"#,
        r#"
error: two upstreams for `docker.io`
 --> archway.toml:3:11
  |
1 | [upstream."docker.io"]
  |           ----------- the first
2 |
3 | [upstream."Docker.io"]
  |           ^^^^^^^^^^^ the second
  |
  = help: merge them into one table"#,
    );
}

#[test]
fn an_empty_table_of_upstreams_is_refused() {
    assert_picture(
        r"
upstream = {}",
        r#"
error: `upstream` is empty, so nothing can be reached
 --> archway.toml:1:12
  |
1 | upstream = {}
  |            ^^ no upstream in here
  |
  = help: remove the table for the well-known registries, or add [upstream."docker.io"]"#,
    );
}

#[test]
fn a_default_upstream_must_be_configured() {
    assert_picture(
        r#"
default_upstream = "gchr.io"

[upstream."ghcr.io"]"#,
        r#"
error: `default_upstream` names an upstream that is not configured
 --> archway.toml:1:20
  |
1 | default_upstream = "gchr.io"
  |                    ^^^^^^^^^ no such upstream
  |
  = help: did you mean `ghcr.io`? Else add a table [upstream."gchr.io"]"#,
    );
}

#[test]
fn a_listeners_upstream_must_be_configured() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
upstream = "quay.io"

[upstream."docker.io"]"#,
        r#"
error: `upstream` names an upstream that is not configured
 --> archway.toml:3:12
  |
3 | upstream = "quay.io"
  |            ^^^^^^^^^ no such upstream
  |
  = help: add a table [upstream."quay.io"]"#,
    );
}

#[test]
fn two_listeners_on_one_address_are_refused() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"

[[listener]]
address = "127.0.0.1:5000""#,
        r#"
error: two listeners on 127.0.0.1:5000
 --> archway.toml:5:11
  |
2 | address = "127.0.0.1:5000"
  |           ---------------- first used here
...
5 | address = "127.0.0.1:5000"
  |           ^^^^^^^^^^^^^^^^ already taken
  |
  = help: give one of them another port"#,
    );
}

#[test]
fn a_listener_on_the_admin_address_is_refused() {
    assert_picture(
        r#"
[admin]
address = "127.0.0.1:5000"

[[listener]]
address = "127.0.0.1:5000""#,
        r#"
error: two listeners on 127.0.0.1:5000
 --> archway.toml:5:11
  |
2 | address = "127.0.0.1:5000"
  |           ---------------- first used here
...
5 | address = "127.0.0.1:5000"
  |           ^^^^^^^^^^^^^^^^ already taken
  |
  = help: give one of them another port"#,
    );
}

#[test]
fn two_upstreams_claiming_one_virtual_host_are_refused() {
    assert_picture(
        r#"
[upstream."docker.io"]
hosts = ["mirror.example"]

[upstream."ghcr.io"]
hosts = ["mirror.example"]"#,
        r#"
error: two upstreams claim the virtual host `mirror.example`
 --> archway.toml:5:10
  |
2 | hosts = ["mirror.example"]
  |          ---------------- first claimed here
...
5 | hosts = ["mirror.example"]
  |          ^^^^^^^^^^^^^^^^ already taken"#,
    );
}

#[test]
fn a_virtual_host_means_one_registry() {
    assert_picture(
        r#"
[upstream."*.registry.example"]
hosts = ["mirror.example"]"#,
        r#"
error: `hosts` needs one upstream, `*.registry.example` is many
 --> archway.toml:2:10
  |
2 | hosts = ["mirror.example"]
  |          ^^^^^^^^^^^^^^^^ means no single registry
  |
  = help: move it to the table of one host"#,
    );
}

#[test]
fn docker_hub_is_configured_under_the_name_its_images_have() {
    assert_picture(
        r#"
[upstream."registry-1.docker.io"]
tag_ttl = "5m""#,
        r#"
error: `upstream` must be the name a registry's images have
 --> archway.toml:1:11
  |
1 | [upstream."registry-1.docker.io"]
  |           ^^^^^^^^^^^^^^^^^^^^^^ images from here are named docker.io/...
  |
  = help: did you mean [upstream."docker.io"]? Its `endpoints` set where it is asked"#,
    );
    assert_picture(
        r#"
default_upstream = "index.docker.io"
[upstream."docker.io"]"#,
        r#"
error: `default_upstream` must be the name a registry's images have
 --> archway.toml:1:20
  |
1 | default_upstream = "index.docker.io"
  |                    ^^^^^^^^^^^^^^^^^ images from here are named docker.io/...
  |
  = help: did you mean `docker.io`?"#,
    );
}
