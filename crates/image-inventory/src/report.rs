//! Which images do not exist for a platform.

use admin_api::{Lacking, Report};
use manifest_model::Platform;

use super::image::Image;

/// Judges images by the platforms that are needed. One that lacks none is only counted.
pub fn report(need: &[Platform], images: &[Image]) -> Report {
    let mut report = Report {
        need: need.iter().map(ToString::to_string).collect(),
        checked: images.len(),
        ..Report::default()
    };
    for image in images {
        let lacking = need
            .iter()
            .filter(|platform| image.part(platform).is_none());
        let lacks: Vec<_> = lacking.map(ToString::to_string).collect();
        if lacks.is_empty() {
            continue;
        }
        if image.has_unknown() {
            report.unknown.push(image.name());
        } else {
            report.lacking.push(Lacking {
                name: image.name(),
                lacks,
                has: platforms(image),
            });
        }
    }
    report
}

fn platforms(image: &Image) -> Vec<String> {
    let images = image.parts.iter().filter(|part| part.is_image());
    let named = images.filter_map(|part| part.platform.as_ref());
    named.map(ToString::to_string).collect()
}
