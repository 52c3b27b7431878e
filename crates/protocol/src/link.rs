//! `Link` headers (RFC 8288): the next page of a list of tags or referrers.

/// The target of the first link with the relation `next` in a header line.
pub fn next(line: &str) -> Option<&str> {
    let mut rest = line;
    loop {
        let (target, behind) = rest.split_once('<')?.1.split_once('>')?;
        let (parameters, others) = split_unquoted(behind, ',');
        if is_next(parameters) {
            return Some(target);
        }
        rest = others;
    }
}

/// Whether `next` is among the relations. Only the first `rel` counts (RFC 8288, section 3.3).
fn is_next(parameters: &str) -> bool {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (parameter, others) = split_unquoted(rest, ';');
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            return relations.any(|relation| relation.eq_ignore_ascii_case("next"));
        }
        rest = others;
    }
    false
}

/// Splits at the first `separator` outside quoted strings.
fn split_unquoted(text: &str, separator: char) -> (&str, &str) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = text.find(|character| {
        if is_escaped {
            is_escaped = false;
        } else if character == '"' {
            is_quoted = !is_quoted;
        } else {
            is_escaped = is_quoted && character == '\\';
        }
        character == separator && !is_quoted
    });
    end.map_or((text, ""), |at| {
        (&text[..at], &text[at + separator.len_utf8()..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let among = r#"</v2/x?last=PREV>; rel="prev", </v2/x?last=NEXT>; rel="next""#;
        assert_eq!(next(among), Some("/v2/x?last=NEXT"));
        let commas = r#"</a?x=1,2;y>; title="a, \"b\"; rel=next", </b>; title="c;d"; rel=next"#;
        assert_eq!(next(commas), Some("/b"));
    }

    #[test]
    fn a_relation_is_a_list_of_words_in_any_case() {
        for parameters in [
            "rel=next",
            r#"REL="Next""#,
            r#"rel = "last next""#,
            r#"type="text/json";rel=next"#,
        ] {
            let line = format!("</b>; {parameters}");
            assert_eq!(next(&line), Some("/b"), "{line}");
        }
    }

    #[test]
    fn other_links_are_no_next_page() {
        for line in [
            r#"</b>; rel="prev""#,
            r#"</b>; rel="nextish""#,
            r#"</b>; rel="prev"; rel="next""#,
            "/b; rel=next",
            "</b; rel=next",
            "</b>",
            "",
        ] {
            assert_eq!(next(line), None, "{line}");
        }
    }
}
