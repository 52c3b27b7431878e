//! What is attached to images: signatures, SBOMs and whatever else refers to them.

use manifest_model::Digest;

use super::{AttachedScope, Catalog, Plan, PlanError};
use crate::lock::{Attached, Child, Image, Presence};

/// How many levels of attachments of attachments are carried.
const MAX_ATTACHED_DEPTH: usize = 3;

impl<C: Catalog> Plan<'_, C> {
    pub(super) fn add_attached(
        &mut self,
        image: &mut Image,
        subject: Digest,
        depth: usize,
    ) -> Result<(), PlanError> {
        if depth > MAX_ATTACHED_DEPTH || self.selection.attached == AttachedScope::None {
            return Ok(());
        }
        let found = self.catalog.attached(&image.name, &subject);
        let found = found.map_err(|source| PlanError::Catalog {
            name: Box::new(image.name.clone()),
            digest: subject,
            source,
        })?;
        for attached in found {
            let is_known = |known: &Attached| *known == attached;
            let is_left_out =
                self.selection.attached == AttachedScope::Signatures && !attached.is_signature();
            if is_left_out || image.attached.iter().any(is_known) {
                continue;
            }
            let digest = attached.digest;
            let Some(manifest) = self.stored(&image.name, &digest)? else {
                self.incomplete.push((image.name.clone(), digest));
                continue;
            };
            // What is attached takes no part in whether the image runs.
            let whole = image.whole;
            let carried = self.carry(&manifest, image);
            image.whole = whole;
            if let Err(PlanError::NotStored { .. } | PlanError::Unreadable { .. }) = carried {
                self.incomplete.push((image.name.clone(), digest));
                continue;
            }
            carried?;
            image.attached.push(attached);
            self.add_attached(image, digest, depth + 1)?;
        }
        Ok(())
    }
}

/// Whether the image itself has a signature, or each of the manifests that are carried for it.
pub(super) fn is_signed(image: &Image) -> bool {
    let has = |digest: Digest| {
        let mut attached = image.attached.iter();
        attached.any(|one| one.subject == digest && one.is_signature())
    };
    let runs = |child: &&Child| {
        let platform = child.platform.as_ref();
        child.presence == Presence::Here && !platform.is_some_and(|one| one.0.is_unknown())
    };
    let mut children = image.children.iter().filter(runs).peekable();
    has(image.digest) || (children.peek().is_some() && children.all(|child| has(child.digest)))
}
