//! Values that mean nothing, or too much.

use super::assert_picture;

#[test]
fn a_size_needs_a_unit_that_exists() {
    assert_picture(
        r#"
[cache]
max_size = "50 apples""#,
        r#"
error: `max_size` must be a size with its unit
 --> archway.toml:2:12
  |
2 | max_size = "50 apples"
  |            ^^^^^^^^^^^ `apples` is not a unit of size
  |
  = help: units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB, for example "50GiB""#,
    );
}

#[test]
fn a_size_without_a_unit_is_refused() {
    assert_picture(
        r#"
[cache]
max_size = "50""#,
        r#"
error: `max_size` must be a size with its unit
 --> archway.toml:2:12
  |
2 | max_size = "50"
  |            ^^^^ the unit is missing
  |
  = help: add one, for example "50GiB""#,
    );
}

#[test]
fn a_cache_of_no_size_is_refused() {
    assert_picture(
        r#"
[cache]
max_size = "0GiB""#,
        r#"
error: `max_size` must be a size with its unit
 --> archway.toml:2:12
  |
2 | max_size = "0GiB"
  |            ^^^^^^ a size of zero would keep nothing
  |
  = help: write it like this: "50GiB" or "20%""#,
    );
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    assert_picture(
        r#"
[upstream."docker.io"]
tag_ttl = "60""#,
        r#"
error: `tag_ttl` must be a duration with its unit
 --> archway.toml:2:11
  |
2 | tag_ttl = "60"
  |           ^^^^ the unit is missing
  |
  = help: add one, for example "60s""#,
    );
}

#[test]
fn a_duration_is_a_year_at_most() {
    assert_picture(
        r#"
[upstream."docker.io"]
stale_if_error = "366d""#,
        r#"
error: `stale_if_error` must be a duration with its unit
 --> archway.toml:2:18
  |
2 | stale_if_error = "366d"
  |                  ^^^^^^ this is longer than 365 days
  |
  = help: 365d is the longest possible"#,
    );
}

#[test]
fn a_time_limit_is_not_zero() {
    assert_picture(
        r#"
[server]
header_timeout = "0s""#,
        r#"
error: `header_timeout` must be a time limit
 --> archway.toml:2:18
  |
2 | header_timeout = "0s"
  |                  ^^^^ a limit of zero would make everything fail
  |
  = help: write "1h" to wait long"#,
    );
}

#[test]
fn a_count_has_bounds() {
    assert_picture(
        r"
[cache]
max_fills = 0",
        r"
error: `max_fills` is out of bounds
 --> archway.toml:2:13
  |
2 | max_fills = 0
  |             ^ from 1 to 4096 is possible",
    );
}

#[test]
fn a_platform_that_cannot_be_read_is_refused() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
platform = "linux/arm64/v8/extra""#,
        r#"
error: `platform` must be a platform
 --> archway.toml:3:12
  |
3 | platform = "linux/arm64/v8/extra"
  |            ^^^^^^^^^^^^^^^^^^^^^^ more than os, architecture and variant
  |
  = help: write it like this: "linux/arm64", "linux/arm/v7", "host" or "all""#,
    );
}

#[test]
fn all_is_a_hint_and_no_default() {
    assert_picture(
        r#"
[platform]
default = "all"
hosts = { "mirror.example" = "all" }"#,
        r#"
error: `default` must be a platform
 --> archway.toml:2:11
  |
2 | default = "all"
  |           ^^^^^ `all` cannot be a default
  |
  = help: name one platform: a default is for clients that cannot read an index"#,
    );
}

#[test]
fn a_network_has_nothing_behind_its_prefix() {
    assert_picture(
        r#"
[platform]
addresses = { "10.1.2.3/16" = "linux/arm64" }"#,
        r#"
error: `addresses` must be a network
 --> archway.toml:2:15
  |
2 | addresses = { "10.1.2.3/16" = "linux/arm64" }
  |               ^^^^^^^^^^^^^ there are bits set behind the prefix
  |
  = help: the network is "10.1.0.0/16""#,
    );
}

#[test]
fn an_address_needs_its_port() {
    assert_picture(
        r#"
[admin]
address = "127.0.0.1""#,
        r#"
error: `address` must be an IP address with a port, or "off"
 --> archway.toml:2:11
  |
2 | address = "127.0.0.1"
  |           ^^^^^^^^^^^ this is not an address with a port
  |
  = help: add the port: "127.0.0.1:PORT""#,
    );
}

#[test]
fn an_unknown_mode_is_refused() {
    assert_picture(
        r#"
[upstream."docker.io"]
resolve = "alway""#,
        r#"
error: `resolve` must be one of the modes
 --> archway.toml:2:11
  |
2 | resolve = "alway"
  |           ^^^^^^^ not one of the words possible here
  |
  = help: did you mean `always`?"#,
    );
}

#[test]
fn an_unknown_level_is_refused() {
    assert_picture(
        r#"
[log]
level = "warn,proxy::pull=ifno""#,
        r#"
error: `level` must be a log level
 --> archway.toml:2:9
  |
2 | level = "warn,proxy::pull=ifno"
  |         ^^^^^^^^^^^^^^^^^^^^^^^ not one of the words possible here
  |
  = help: did you mean `info`?"#,
    );
}

#[test]
fn a_pattern_no_tag_fits_is_refused() {
    assert_picture(
        r#"
[upstream."docker.io"]
immutable_tags = ["v1:*"]"#,
        r#"
error: `immutable_tags` must be a pattern over tags
 --> archway.toml:2:19
  |
2 | immutable_tags = ["v1:*"]
  |                   ^^^^^^ no tag can match this
  |
  = help: a tag has letters, digits, `_`, `.` and `-`; `*` stands for any run of them, `?` for one"#,
    );
}

#[test]
fn all_mistakes_are_shown_in_the_order_of_the_file() {
    assert_picture(
        r#"
[cache]
max_size = "50"
max_fills = -1

[platform]
default = "amiga""#,
        r#"
error: `max_size` must be a size with its unit
 --> archway.toml:2:12
  |
2 | max_size = "50"
  |            ^^^^ the unit is missing
  |
  = help: add one, for example "50GiB"

error: `max_fills` is out of bounds
 --> archway.toml:3:13
  |
3 | max_fills = -1
  |             ^^ from 1 to 4096 is possible

error: `default` must be a platform
 --> archway.toml:6:11
  |
6 | default = "amiga"
  |           ^^^^^^^ neither os/architecture nor a known architecture
  |
  = help: write it like this: "linux/arm64", "linux/arm/v7" or "host""#,
    );
}

#[test]
fn the_proxy_protocol_needs_somebody_to_believe() {
    assert_picture(
        r#"
[[listener]]
address = "0.0.0.0:5000"
proxy_protocol = true"#,
        r#"
error: `proxy_protocol` needs `trusted_proxies`
 --> archway.toml:3:18
  |
3 | proxy_protocol = true
  |                  ^^^^ no peer is trusted to name the client
  |
  = help: name the load balancers: trusted_proxies = ["10.0.0.0/8"] in [server]"#,
    );
}

#[test]
fn a_rule_for_repositories_means_some_and_changes_something() {
    assert_picture(
        r#"
[upstream."docker.io"]
repositories."Team/*" = { resolve = "always" }
repositories."team/*" = {}"#,
        r#"
error: `repositories` must be a repository's name or a pattern
 --> archway.toml:2:14
  |
2 | repositories."Team/*" = { resolve = "always" }
  |              ^^^^^^^^ no repository can match this
  |
  = help: write it without the registry, in lower case: "team/*"; `*` stands for any run of characters, `?` for one

error: the rule for `team/*` is empty
 --> archway.toml:3:14
  |
3 | repositories."team/*" = {}
  |              ^^^^^^^^ changes nothing
  |
  = help: set `resolve` or `platform` in it, or remove it"#,
    );
}

#[test]
fn prefetch_for_nodes_needs_to_know_them() {
    assert_picture(
        r"
[prefetch]
nodes = true",
        r"
error: `nodes` needs the nodes of the cluster
 --> archway.toml:2:9
  |
2 | nodes = true
  |         ^^^^ they are not known here
  |
  = help: set `nodes = true` in [platform.kubernetes] too",
    );
}

#[test]
fn a_selector_of_labels_selects_something() {
    assert_picture(
        r#"
[platform.kubernetes]
label_selector = " ""#,
        r#"
error: `label_selector` must be a selector of labels
 --> archway.toml:2:18
  |
2 | label_selector = " "
  |                  ^^^ this selects nothing
  |
  = help: remove the key to take all nodes"#,
    );
}
