//! From images to features, away from the process that talks to the coordinator.
//!
//! [`Ready`] is a backbone made ready for a study or a bundle: its entry, checked weights and
//! preprocessing. [`Imaging`] looks at images and extracts their features, in this process or in a
//! child of it: a child gives its memory back when it ends, and a decoder that crashes takes only the
//! child down. [`survey`] applies a study to the site's data by way of both, and [`Seen`] remembers
//! which files were looked at. Features lie in a cache by image digest, so that a second study, and a
//! run that was killed, take up what is there.

mod altered;
mod caches;
mod child;
mod device;
mod imaging;
mod order;
mod ready;
mod seen;
mod survey;

pub use altered::Altered;
pub use caches::Caches;
pub use child::serve;
pub use device::{Settled, settle};
pub use imaging::{Extract, Extracted, Imaging, Kept};
pub use order::{ImagingError, Moved, Timed};
pub use ready::{Ready, ReadyError, precision};
pub use seen::Seen;
pub use survey::{SurveyError, survey};
