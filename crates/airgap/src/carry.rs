//! A bundle that is served as it is: its blobs are read where they lie, and nothing is stored.

use std::{io, sync::Arc};

use cache::{Cache, CacheError};

use crate::{
    arrival, error::ImportError, judged::Judged, open::Opened, rules::Rules, source::Source,
};

/// Makes the content of a bundle visible, whose blobs are read from its file from now on; the number
/// of its images. Judged as for an import. Blocks for a look at its manifests.
pub fn carry(cache: &Cache, rules: &Rules, opened: Opened) -> Result<usize, ImportError> {
    let Opened {
        path,
        bundle,
        source,
    } = opened;
    let Source::Files(pieces) = source else {
        return Err(ImportError::NoFile);
    };
    let mut files = pieces.files();
    let (Some(file), None) = (files.next(), files.next()) else {
        return Err(ImportError::NoFile);
    };
    let (judged, imports) = (Judged::of(cache, rules, &bundle)?, cache.imports());
    let again = |source: io::Error| CacheError::io("open again", &path)(source);
    let file = Arc::new(file.try_clone().map_err(again)?);
    let lock = bundle.lock();
    imports.carry(&file, bundle.layout().carried())?;
    judged.begin(cache, lock)?;
    imports.leave_out(&bundle.id(), &arrival::left_out(lock))?;
    imports.complete(&judged.arrival(cache, rules, lock)?)?;
    Ok(lock.images.len())
}
