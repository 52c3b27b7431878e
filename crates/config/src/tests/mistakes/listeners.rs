//! Addresses that cannot both be listened on, those that hold by default among them.

use super::assert_picture;
use crate::Config;

#[test]
fn a_listener_where_the_admin_routes_are_by_default_is_refused() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:9464""#,
        r#"
error: two listeners on 127.0.0.1:9464
 --> archway.toml:2:11
  |
2 | address = "127.0.0.1:9464"
  |           ^^^^^^^^^^^^^^^^ the admin routes are at 127.0.0.1:9464 unless [admin] moves them
  |
  = help: give it another port, or set `address` in [admin]"#,
    );
}

#[test]
fn admin_routes_where_clients_pull_by_default_are_refused() {
    assert_picture(
        r#"
[admin]
address = "0.0.0.0:5000""#,
        r#"
error: two listeners on 0.0.0.0:5000
 --> archway.toml:2:11
  |
2 | address = "0.0.0.0:5000"
  |           ^^^^^^^^^^^^^^ clients pull from 127.0.0.1:5000 where there is no [[listener]]
  |
  = help: give the admin routes another port, or add a [[listener]]"#,
    );
}

#[test]
fn an_address_for_all_takes_its_port_on_each() {
    let is_taken = |first: &str, second: &str| {
        let text =
            format!("listener = [{{ address = \"{first}\" }}, {{ address = \"{second}\" }}]");
        Config::parse("archway.toml", &text).is_err()
    };
    for (first, second, taken) in [
        ("0.0.0.0:5000", "127.0.0.1:5000", true),
        ("127.0.0.1:5000", "0.0.0.0:5000", true),
        ("[::]:5000", "127.0.0.1:5000", true),
        ("[::]:5000", "[::1]:5000", true),
        ("0.0.0.0:9464", "127.0.0.1:5000", true),
        ("0.0.0.0:5000", "[::1]:5000", false),
        ("127.0.0.1:5000", "127.0.0.2:5000", false),
        ("0.0.0.0:5000", "127.0.0.1:5001", false),
        ("0.0.0.0:0", "0.0.0.0:0", false),
    ] {
        assert_eq!(is_taken(first, second), taken, "{first} {second}");
    }
}

#[test]
fn a_listeners_upstream_is_one_of_its_upstreams() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
upstream = "docker.io"
upstreams = ["ghcr.io"]"#,
        r#"
error: `upstream` is not one of this listener's `upstreams`
 --> archway.toml:3:12
  |
3 | upstream = "docker.io"
  |            ^^^^^^^^^^^ no request could reach it here
  |
  = help: add "docker.io" to `upstreams`, or remove `upstream`"#,
    );
}

#[test]
fn a_limit_that_allows_nothing_is_a_mistake() {
    assert_picture(
        r#"
[[listener]]
address = "127.0.0.1:5000"
upstreams = ["*.corp.example"]
allow_from = []"#,
        r#"
error: no upstream matches this pattern of `upstreams`
 --> archway.toml:3:14
  |
3 | upstreams = ["*.corp.example"]
  |              ^^^^^^^^^^^^^^^^ allows nothing
  |
  = help: add a table [upstream."*.corp.example"], or name one there is

error: `allow_from` is empty, so nothing is allowed
 --> archway.toml:4:14
  |
4 | allow_from = []
  |              ^^ no value in here
  |
  = help: remove the key to set no limit"#,
    );
}
