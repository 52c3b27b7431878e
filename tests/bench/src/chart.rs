//! A chart of bars as SVG, for light and for dark pages.
//!
//! Each group has one bar for each contender. What it is of stands before it, the figure behind each
//! bar. Longer is more: whether that is better, the title says by its unit.

use std::fmt::Write as _;

/// The bars of one comparison.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    /// What was measured.
    pub(crate) of: String,
    /// Who, and how much.
    pub(crate) values: Vec<(&'static str, f64)>,
}

const WIDTH: usize = 860;
/// Where bars begin, and how long the longest is.
const LEFT: usize = 300;
const LONGEST: f64 = 470.0;
const BAR: usize = 14;
const GAP: usize = 12;
/// The title and the legend.
const TOP: usize = 64;

/// Contenders get colours in the order of their first bars. Light, then dark.
const COLOURS: [(&str, &str); 4] = [
    ("#8a94a6", "#7d8799"),
    ("#1f6feb", "#58a6ff"),
    ("#d97706", "#e3a04f"),
    ("#6d28d9", "#b392f0"),
];

/// The file of a chart.
pub(crate) fn draw(title: &str, groups: &[Bars]) -> String {
    let names = contenders(groups);
    let most = groups
        .iter()
        .flat_map(|group| &group.values)
        .map(|(_, value)| *value)
        .filter(|value| value.is_finite())
        .fold(0.0, f64::max);
    let mut body = String::new();
    legend(&mut body, title, &names);
    let mut top = TOP;
    for group in groups {
        draw_group(&mut body, group, &names, most, top);
        top += group.values.len() * BAR + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\" \
         aria-label=\"{}\">\n{}{body}</svg>\n",
        escaped(title),
        style()
    )
}

fn contenders(groups: &[Bars]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, _) in groups.iter().flat_map(|group| &group.values) {
        if !names.contains(name) {
            names.push(*name);
        }
    }
    names
}

fn style() -> String {
    let (mut light, mut dark) = (String::new(), String::new());
    for (number, (on_light, on_dark)) in COLOURS.iter().enumerate() {
        let _ = write!(light, " .s{number} {{ fill: {on_light} }}");
        let _ = write!(dark, " .s{number} {{ fill: {on_dark} }}");
    }
    format!(
        "<style>text {{ font: 12px system-ui, sans-serif; fill: #1f2328 }} .title {{ font-size: 15px; \
         font-weight: 600 }}{light}\n@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }}{dark} }}\
         </style>\n"
    )
}

fn legend(out: &mut String, title: &str, names: &[&str]) {
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"0\" y=\"18\">{}</text>",
        escaped(title)
    );
    for (number, name) in names.iter().enumerate() {
        let (left, colour) = (LEFT + number * 150, number % COLOURS.len());
        let _ = writeln!(
            out,
            "<rect class=\"s{colour}\" x=\"{left}\" y=\"34\" width=\"12\" height=\"12\"/>\
             <text x=\"{}\" y=\"44\">{}</text>",
            left + 18,
            escaped(name)
        );
    }
}

fn draw_group(out: &mut String, group: &Bars, names: &[&str], most: f64, top: usize) {
    let middle = top + group.values.len() * BAR / 2 + 4;
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
        LEFT - 10,
        escaped(&group.of)
    );
    for (place, (name, value)) in group.values.iter().enumerate() {
        let number = names.iter().position(|known| known == name);
        let colour = number.unwrap_or_default() % COLOURS.len();
        let (top, length) = (top + place * BAR, length(*value, most));
        let _ = writeln!(
            out,
            "<rect class=\"s{colour}\" x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            BAR - 2,
            LEFT as f64 + length + 6.0,
            top + BAR - 3,
            figure(*value)
        );
    }
}

/// Nothing for a figure that is missing.
fn length(value: f64, most: f64) -> f64 {
    if value.is_finite() && most > 0.0 {
        value / most * LONGEST
    } else {
        0.0
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value {
        value if !value.is_finite() => "-".to_owned(),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// The name of a chart's file: the words of its title.
pub(crate) fn file_name(title: &str) -> String {
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!("{}.svg", words.join("-").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(of: &str, values: &[(&'static str, f64)]) -> Bars {
        Bars {
            of: of.to_owned(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn the_longest_bar_is_that_of_the_largest_figure() {
        let drawn = draw(
            "Speed",
            &[
                group("one", &[("a", 50.0), ("b", 100.0)]),
                group("two", &[("a", 25.0)]),
            ],
        );
        for width in ["width=\"470.0\"", "width=\"235.0\"", "width=\"117.5\""] {
            assert!(drawn.contains(width), "{width} in {drawn}");
        }
        assert_eq!(
            drawn.matches("class=\"s1\"").count(),
            2,
            "a legend and a bar"
        );
        assert!(drawn.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn a_missing_figure_has_no_bar() {
        let drawn = draw("<Speed>", &[group("one", &[("a", f64::NAN)])]);
        assert!(drawn.contains("width=\"0.0\"") && drawn.contains(">-</text>"));
        assert!(drawn.contains("&lt;Speed>"));
    }

    #[test]
    fn files_are_named_by_the_words_of_the_title() {
        let name = file_name("Stored blobs, plain HTTP/1.1: MB/s");
        assert_eq!(name, "stored-blobs-plain-http-1-1-mb-s.svg");
    }
}
