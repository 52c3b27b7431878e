//! Talos: documents of the machine's configuration.

use std::fmt::Write;

use super::{ClientFiles, platform_path};
use crate::Settings;

pub(super) fn files(settings: &Settings) -> ClientFiles {
    let documents: Vec<String> = (settings.registries.or_word("*").into_iter())
        .map(|registry| mirror(settings, registry))
        .chain(settings.authority.as_ref().map(|authority| {
            format!(
                "apiVersion: v1alpha1\nkind: RegistryTLSConfig\nname: \"{}\"\nca: |\n{}",
                settings.mirror.host(),
                authority.indented("  ")
            )
        }))
        .collect();
    ClientFiles::one("archway-patch.yaml", documents.join("---\n")).note(
        "`talosctl patch mc --patch @FILE` for each node; these documents are for Talos 1.12 and later",
    )
}

fn mirror(settings: &Settings, registry: &str) -> String {
    let platform = platform_path(settings.platform.as_ref());
    let mut text = format!(
        "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: \"{registry}\"\nendpoints:\n"
    );
    if platform.is_empty() {
        let _ = writeln!(text, "  - url: \"{}\"", settings.mirror);
    } else {
        let _ = writeln!(
            text,
            "  - url: \"{}/v2{platform}\"\n    overridePath: true",
            settings.mirror
        );
    }
    if !settings.fallback {
        text.push_str("skipFallback: true\n");
    }
    text
}
