//! Texts that the TOML parser and serde refuse.

use super::assert_picture;

#[test]
fn a_syntax_error_shows_where_it_is() {
    assert_picture(
        r#"
[cache]
max_size = "50GiB"#,
        r#"
error: invalid basic string, expected `"`
--> archway.toml:2:18
 = help: the line is not shown, because it may hold a password"#,
    );
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_one_named() {
    assert_picture(
        r#"
[upstream."docker.io"]
tag_tll = "60s""#,
        r"
error: unknown key `tag_tll`
 --> archway.toml:2:1
  |
2 | tag_tll = *****
  | ^^^^^^^ this key does not exist here
  |
  = help: did you mean `tag_ttl`?",
    );
}

#[test]
fn an_unknown_key_like_no_other_lists_what_there_is() {
    assert_picture(
        r"
[cache]
redundancy = 3",
        r"
error: unknown key `redundancy`
 --> archway.toml:2:1
  |
2 | redundancy = 3
  | ^^^^^^^^^^ this key does not exist here
  |
  = help: known here: `path`, `max_size`, `low_water`, `min_free`, `max_fills`, `max_calls`, `max_extra_connections`, `max_open_files`",
    );
}

#[test]
fn an_unknown_table_is_refused() {
    assert_picture(
        r#"
[upstrem."docker.io"]
tag_ttl = "60s""#,
        r#"
error: unknown key `upstrem`
 --> archway.toml:1:2
  |
1 | [upstrem."docker.io"]
  |  ^^^^^^^ this key does not exist here
  |
  = help: did you mean `upstream`?"#,
    );
}

#[test]
fn an_unknown_key_in_an_inline_table_is_refused() {
    assert_picture(
        r#"
[upstream."registry.example"]
auth = { ecr = { regoin = "eu-west-1" } }"#,
        r"
error: unknown key `regoin`
 --> archway.toml:2:18
  |
2 | auth = { ecr = { regoin = *********** } }
  |                  ^^^^^^ this key does not exist here
  |
  = help: did you mean `region`?",
    );
}

#[test]
fn a_key_that_stands_there_twice_is_refused() {
    assert_picture(
        r#"
[log]
level = "info"
level = "debug""#,
        r"
error: a key is set twice
--> archway.toml:3:1
 = help: the line is not shown, because it may hold a password",
    );
}

#[test]
fn a_listener_without_an_address_is_refused() {
    assert_picture(
        r#"
[[listener]]
platform = "host""#,
        r"
error: missing key `address`
 --> archway.toml:1:1
  |
1 | [[listener]]
  | ^^^^^^^^^^^^ `address` must be set here",
    );
}

#[test]
fn a_number_for_a_size_is_refused() {
    assert_picture(
        r"
[cache]
max_size = 50",
        r#"
error: a size with its unit such as "50GiB" or "20%" is expected here
 --> archway.toml:2:12
  |
2 | max_size = 50
  |            ^^ found integer `50`"#,
    );
}

#[test]
fn a_string_for_a_number_is_refused() {
    assert_picture(
        r#"
[server]
max_connections = "many""#,
        r"
error: a whole number without quotes is expected here
 --> archway.toml:2:19
  |
2 | max_connections = ******
  |                   ^^^^^^ found a string",
    );
}

#[test]
fn one_listener_needs_two_brackets() {
    assert_picture(
        r#"
[listener]
address = "127.0.0.1:5000""#,
        r"
error: a list is expected here
 --> archway.toml:1:1
  |
1 | [listener]
  | ^^^^^^^^^^ found a single table
  |
  = help: each table of a list has double brackets, as in [[listener]]",
    );
}
