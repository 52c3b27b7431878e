//! `archway report --need P,P`: the images a team has to build before it adds machines of another
//! kind.

use clap::{Args, ValueEnum};
use manifest_model::Platform;
use proxy::inventory::{Image, Listing};
use serde::Serialize;

use super::{Outcome, Place};
use crate::{
    cli::{Answer, table::Table},
    client::Server,
};

/// List the cached images that lack a platform you need.
#[derive(Debug, Args)]
#[command(after_help = "\
What counts is whether the image exists for the platform, not whether it is cached; `archway images --missing` shows that.

Examples:
  archway report --need linux/amd64,linux/arm64
  archway report --need linux/arm64 -o markdown 'docker.io/*'")]
pub(crate) struct Report {
    /// Only these: HOST/REPOSITORY:TAG, where `*` stands for any run of characters
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// The platforms, taken strictly: an amd64 image does not do for arm64
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', required = true)]
    need: Vec<Platform>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    pub(super) place: Place,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For a ticket.
    Markdown,
}

#[derive(Serialize)]
struct Reported {
    need: Vec<String>,
    /// The number of images examined.
    images: usize,
    lacking: Vec<Lacking>,
    /// Images of a platform that no stored manifest or config names.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct Lacking {
    image: String,
    lacks: Vec<String>,
    has: Vec<String>,
}

impl Report {
    pub(super) async fn run(&self, server: &Server) -> Outcome {
        let filter = self.filter.clone().map(|filter| ("filter", filter));
        let listing = server.all_images(filter.as_slice()).await?;
        let reported = self.judge(&listing);
        let out = match self.output {
            Form::Json => super::json(&reported),
            Form::Text => reported.text(Table::to_string),
            Form::Markdown => reported.text(Table::markdown),
        };
        Ok(Answer::good(out))
    }

    fn judge(&self, listing: &Listing) -> Reported {
        let mut reported = Reported {
            need: self.need.iter().map(ToString::to_string).collect(),
            images: listing.images.len(),
            lacking: Vec::new(),
            unknown: Vec::new(),
        };
        for image in &listing.images {
            let lacks: Vec<_> = self
                .need
                .iter()
                .filter(|platform| image.part(platform).is_none())
                .map(ToString::to_string)
                .collect();
            if lacks.is_empty() {
                continue;
            }
            if image.has_unknown() {
                reported.unknown.push(image.name());
            } else {
                reported.lacking.push(Lacking {
                    image: image.name(),
                    lacks,
                    has: platforms(image),
                });
            }
        }
        reported
    }
}

fn platforms(image: &Image) -> Vec<String> {
    let images = image.parts.iter().filter(|part| part.attests.is_none());
    let named = images.filter_map(|part| part.platform.as_ref());
    named.map(ToString::to_string).collect()
}

impl Reported {
    fn text(&self, written: fn(&Table<3>) -> String) -> String {
        let mut table = Table::left(["IMAGE", "LACKS", "HAS"]);
        for lacking in &self.lacking {
            table.row([
                lacking.image.clone(),
                lacking.lacks.join(", "),
                lacking.has.join(", "),
            ]);
        }
        let mut page = format!(
            "{} of {} images lack one of {}\n",
            self.lacking.len(),
            self.images,
            self.need.join(", ")
        );
        if !table.is_empty() {
            page = format!("{page}\n{}", written(&table));
        }
        if !self.unknown.is_empty() {
            page = format!(
                "{page}\nNot known, since nobody has pulled their configs yet: {}\n",
                self.unknown.join(", ")
            );
        }
        page
    }
}
