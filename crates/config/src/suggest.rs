//! "Did you mean": the known word nearest to the one in the file.

use super::field::Wrong;

/// A help line for `word`: the known word it is probably a slip of, else all of them.
pub(super) fn help(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", list(known)),
    }
}

/// The value of the word that `text` is, else which word it should be.
pub(super) fn word<T, const N: usize>(text: &str, known: [(&str, T); N]) -> Result<T, Wrong> {
    let words = known.each_ref().map(|(word, _)| *word);
    let found = known
        .into_iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| value);
    found.ok_or_else(|| Wrong::new("not one of the words possible here").help(help(text, &words)))
}

/// The words in backticks, with commas.
pub(super) fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The nearest word, if it is near enough: one slip in three characters.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|known| (distance(word, known), *known));
    let (distance, near) = distances.min()?;
    (distance <= near.len().max(word.len()) / 3).then_some(near)
}

/// Insertions, deletions, replacements and swaps of neighbours between the two, over bytes and without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (
        a.to_ascii_lowercase().into_bytes(),
        b.to_ascii_lowercase().into_bytes(),
    );
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["tag_ttl", "endpoints", "auth"];
        assert_eq!(help("tag_tll", &known), "did you mean `tag_ttl`?");
        assert_eq!(help("endpoint", &known), "did you mean `endpoints`?");
        assert_eq!(help("Auth", &known), "did you mean `auth`?");
        assert_eq!(
            help("mirrors", &known),
            "known here: `tag_ttl`, `endpoints`, `auth`"
        );
    }

    #[test]
    fn the_distance_counts_single_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ecr", "erc", 1),
            ("Auth", "auth", 0),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
