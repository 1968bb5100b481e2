//! Altered copies of images, as a study or a bundle asks for them.

use serde::{Deserialize, Serialize};
use wardround_core::seed::Seed;
use wardround_core::study::{Alterations, AugmentationRule, CropRule};
use wardround_learn::bundle::BundleViews;
use wardround_vision::{Augmentation, RandomCrop};

/// Altered copies of each image that are wanted beside the image itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Altered {
    /// None.
    Off,
    /// So many of each image, at least 1.
    Copies {
        /// How they are altered.
        augmentation: Augmentation,
        /// How many.
        count: u16,
    },
}

impl Altered {
    /// What a study's models are fitted to.
    pub fn for_fitting(rule: &AugmentationRule, seed: Seed) -> Self {
        match *rule {
            AugmentationRule::On { copies, alter, .. } => Self::copies(copies, seed, alter),
            AugmentationRule::Off => Self::Off,
        }
    }

    /// What a bundle's models are used on.
    pub fn for_use(views: &BundleViews) -> Self {
        match *views {
            BundleViews::Averaged { views, seed, alter } => {
                Self::copies(views.saturating_sub(1), seed, alter)
            }
            BundleViews::Plain => Self::Off,
        }
    }

    /// Copies of each image.
    pub fn count(&self) -> u16 {
        match self {
            Self::Off => 0,
            Self::Copies { count, .. } => *count,
        }
    }

    fn copies(count: u16, Seed(seed): Seed, alter: Alterations) -> Self {
        let Alterations { rotation, crop, flip, brightness, contrast } = alter;
        let crop = match crop {
            CropRule::Off => RandomCrop::Off,
            CropRule::Area(shares) => RandomCrop::Area(shares),
        };
        let augmentation = Augmentation { seed, rotation, crop, flip, brightness, contrast };
        match count {
            0 => Self::Off,
            count => Self::Copies { augmentation, count },
        }
    }
}
