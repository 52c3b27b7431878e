//! Virtual indexes and aliases.

use super::assert_picture;

#[test]
fn a_star_needs_one_to_take_its_text_from() {
    assert_picture(
        r#"
[[upstream."docker.io".virtual_index]]
name = "team/*:latest"
sources = ["team/*:amd64", "team/*:*-arm64"]"#,
        r#"
error: `sources` has a `*` that stands for nothing
 --> archway.toml:3:28
  |
3 | sources = ["team/*:amd64", "team/*:*-arm64"]
  |                            ^^^^^^^^^^^^^^^^ `name` has none on this side of the colon
  |
  = help: a `*` in the repository stands for that of the name's repository, one in the tag for that of its tag"#,
    );
}

#[test]
fn an_alias_is_held_to_the_same() {
    assert_picture(
        r#"
[[upstream."docker.io".alias]]
name = "hello:*-arm64"
target = "*:*"
platform = "linux/arm64""#,
        r#"
error: `target` has a `*` that stands for nothing
 --> archway.toml:3:10
  |
3 | target = "*:*"
  |          ^^^^^ `name` has none on this side of the colon
  |
  = help: a `*` in the repository stands for that of the name's repository, one in the tag for that of its tag"#,
    );
}

#[test]
fn one_star_on_a_side_is_all_there_can_be() {
    assert_picture(
        r#"
[[upstream."docker.io".alias]]
name = "team/*/*:arm64"
target = "team/x:latest"
platform = "linux/arm64""#,
        r#"
error: `name` must be a repository and a tag
 --> archway.toml:2:8
  |
2 | name = "team/*/*:arm64"
  |        ^^^^^^^^^^^^^^^^ more than one `*` on a side of the colon
  |
  = help: write it like this: "team/*:*-arm64""#,
    );
}

#[test]
fn a_name_has_a_tag() {
    assert_picture(
        r#"
[[upstream."docker.io".virtual_index]]
name = "team/hello"
sources = ["team/hello:amd64"]"#,
        r#"
error: `name` must be a repository and a tag
 --> archway.toml:2:8
  |
2 | name = "team/hello"
  |        ^^^^^^^^^^^^ the tag is missing
  |
  = help: write "team/hello:*" for every tag"#,
    );
}

#[test]
fn a_virtual_index_is_made_of_something() {
    assert_picture(
        r#"
[[upstream."docker.io".virtual_index]]
name = "team/hello:latest"
sources = []"#,
        r"
error: `sources` has too few or too many names
 --> archway.toml:3:11
  |
3 | sources = []
  |           ^^ from 1 to 32 are possible",
    );
}

#[test]
fn what_a_rule_must_say_is_demanded() {
    assert_picture(
        r#"
[[upstream."docker.io".alias]]
name = "hello:arm64"
target = "hello:latest""#,
        r#"
error: missing key `platform`
 --> archway.toml:1:1
  |
1 | [[upstream."docker.io".alias]]
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `platform` must be set here"#,
    );
}

#[test]
fn only_the_upstream_or_the_rule_can_go_first() {
    assert_picture(
        r#"
[[upstream."docker.io".virtual_index]]
name = "hello:latest"
sources = ["hello:amd64"]
prefer = "ruel""#,
        r#"
error: `prefer` must be who answers first
 --> archway.toml:4:10
  |
4 | prefer = "ruel"
  |          ^^^^^^ not one of the words possible here
  |
  = help: did you mean `rule`?"#,
    );
}

#[test]
fn an_alias_that_leads_back_to_its_own_name_is_refused() {
    assert_picture(
        r#"
[[upstream."docker.io".alias]]
name = "a/*:x"
target = "a/*:x"
platform = "linux/arm64""#,
        r#"
error: the alias leads back to its own name
 --> archway.toml:3:10
  |
3 | target = "a/*:x"
  |          ^^^^^^^ from here, aliases lead back to `name`
  |
  = help: name a tag that the registry has, or that a virtual_index makes"#,
    );
}
