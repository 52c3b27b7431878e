//! What is asked of an export, and the plan that fulfils it.

use std::sync::Arc;

use bundle::{Lock, Plan, PlanError, Selection};
use manifest_model::{Digest, Platform};
use protocol::image_name::ImageName;

use super::{
    running::{Cause, PullError},
    supply::Supply,
};

/// What is to be carried.
#[derive(Debug)]
pub struct Request<'a> {
    /// The images, each with its platforms; none of them means all.
    pub images: Vec<(ImageName, Vec<Platform>)>,
    /// What of each.
    pub selection: Selection,
    /// The lock of an interrupted export: its tags mean what they meant then.
    pub begun: Option<&'a Lock>,
    /// What is done without an image that does not come.
    pub on_missing: OnMissing,
}

/// What is done without an image that does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// One name of a long list need not stop the others.
    LeaveOut,
    /// There is no plan.
    Fail,
}

/// What is done about blobs that are planned and not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// They are pulled.
    Pulled,
    /// The plan is all that is wanted.
    Counted,
}

/// A plan, and what is not in it.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The plan.
    pub plan: Plan<'a, Supply<'a>>,
    /// Why an image is not in it.
    pub left_out: Vec<ExportPlanError>,
    /// What else did not come, and why.
    pub failures: Vec<String>,
}

/// Why there is no plan, or why an image is not in it.
#[derive(Debug, thiserror::Error)]
pub enum ExportPlanError {
    /// Nothing of that name is here.
    #[error("{name} is not stored; pull it first, or see `archway cache ls --tags` for what is")]
    NotStored {
        /// The image.
        name: Box<ImageName>,
    },
    /// What its tag means is not known.
    #[error("{name} is not stored, and could not be pulled")]
    NotResolved {
        /// The image.
        name: Box<ImageName>,
        /// Why not.
        source: Arc<PullError>,
    },
    /// A part of it did not come.
    #[error("{digest} of {name} could not be pulled")]
    NotPulled {
        /// The image.
        name: Box<ImageName>,
        /// The part.
        digest: Digest,
        /// Why not.
        source: Arc<PullError>,
    },
    /// The name is of no registry.
    #[error("{name} names no registry; write docker.io/{name} or another one")]
    NoRegistry {
        /// The image.
        name: Box<ImageName>,
    },
    /// It cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The running Archway cannot be asked.
    #[error(transparent)]
    Running(Cause),
}

impl ExportPlanError {
    /// Whether one image is not to be had, and the others may be.
    fn is_of_one_image(&self) -> bool {
        !matches!(self, Self::NoRegistry { .. } | Self::Running(_))
    }
}

impl Request<'_> {
    /// A plan in which all is here that it carries, or all that could be had.
    pub fn draft<'s>(
        &self,
        supply: &'s Supply<'s>,
        lacking: Lacking,
    ) -> Result<Draft<'s>, ExportPlanError> {
        let is_carried = |digest: &Digest| !self.selection.base.contains(digest);
        loop {
            let draft = self.once(supply)?;
            if lacking == Lacking::Counted
                || !supply.bring(is_carried).map_err(ExportPlanError::Running)?
            {
                return Ok(draft);
            }
        }
    }

    /// A plan of the images as far as they are known by now.
    fn once<'s>(&self, supply: &'s Supply<'s>) -> Result<Draft<'s>, ExportPlanError> {
        supply.begin();
        let mut plan = Plan::new(supply, self.selection.clone());
        let (mut left_out, mut told) = (Vec::new(), Vec::new());
        for (name, platforms) in &self.images {
            match self.add(&mut plan, supply, name, platforms) {
                Ok(()) => {}
                Err(error) if self.on_missing == OnMissing::LeaveOut && error.is_of_one_image() => {
                    supply.leave_image();
                    if let ExportPlanError::NotPulled { digest, .. } = &error {
                        told.push(*digest);
                    }
                    left_out.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Draft {
            plan,
            left_out,
            failures: supply.failures(&told),
        })
    }

    /// Adds an image, or nothing: as an interrupted export had it, if there is one, wherever its tag
    /// points by now.
    fn add<'s>(
        &self,
        plan: &mut Plan<'s, Supply<'s>>,
        supply: &'s Supply<'s>,
        name: &ImageName,
        platforms: &[Platform],
    ) -> Result<(), ExportPlanError> {
        let named = || Box::new(name.clone());
        if name.host.is_none() {
            return Err(ExportPlanError::NoRegistry { name: named() });
        }
        let images = self.begun.map_or(&[][..], |lock| &lock.images);
        let known = images.iter().find(|image| image.name == *name);
        supply.begin_image(name);
        let digest = known.map_or_else(|| supply.meaning(name), |image| Ok(image.digest));
        let digest = digest.map_err(|why| match why {
            Some(source) => ExportPlanError::NotResolved {
                name: named(),
                source,
            },
            None => ExportPlanError::NotStored { name: named() },
        })?;
        let checked = plan.check(name, digest, Some(platforms));
        let added = checked.and_then(|()| plan.add(name, digest, Some(platforms)));
        added.map_err(|error| match error {
            PlanError::NotStored { name, digest } => match supply.absent(&digest) {
                Some(source) => ExportPlanError::NotPulled {
                    name,
                    digest,
                    source,
                },
                None => PlanError::NotStored { name, digest }.into(),
            },
            error => error.into(),
        })
    }
}
