//! The page of copies: each group with its images beside each other, and what the site knows of them.

use wardround_core::markup::{Element, Markup, el};
use wardround_vision::Picture;

use super::{Alike, Group};
use crate::explain::ExplainError;
use crate::explain::page::image;

/// Pixels a side that an image is shown with.
pub const SHOWN_SIDE: usize = 240;

/// A row of a group as the page names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What the row is called.
    pub row: String,
    /// Its label.
    pub label: String,
    /// Its file's name, without the folder of all images.
    pub file: String,
}

/// A group's part of the page: `pictures` are those of the first members, or why there is none.
///
/// # Errors
/// [`ExplainError::Drawing`].
pub fn card(
    number: usize,
    group: &Group,
    named: &[Named],
    pictures: &[Result<Picture, String>],
) -> Result<Markup, ExplainError> {
    let mut figures = Vec::new();
    for (((row, alike), named), picture) in group.members.iter().zip(named).zip(pictures) {
        let Named { row: name, label, file } = named;
        let said = format!("{label}; fold {}; {}; {file}", row.fold + 1, words(*alike));
        let caption = el("figcaption").add(el("strong").text(name)).text(format!(": {said}"));
        let shown: Element = match picture {
            Ok(picture) => {
                image(&picture.at_most(SHOWN_SIDE), &format!("The image of {name}, {label}."))?
            }
            Err(why) => el("p").text(why),
        };
        figures.push(el("figure").add(shown).add(caption));
    }
    let mut article = el("article")
        .add(el("h3").text(format!("Group {number}: {}", summary(group))))
        .add(el("div").attr("class", "pair").add_all(figures));
    let more = group.members.len().saturating_sub(pictures.len());
    if more > 0 {
        article =
            article.add(el("p").attr("class", "soft").text(format!(
                "{more} more rows of this group stand in the file beside this page."
            )));
    }
    Ok(article.into())
}

/// A group in a line.
pub fn summary(group: &Group) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    };
    [
        count(group.members.len(), "row"),
        count(group.patients(), "patient"),
        count(group.labels(), "label"),
        count(group.folds(), "fold"),
    ]
    .join(", ")
}

/// How alike an image is to the first of its group, in words.
pub fn words(alike: Alike) -> String {
    match alike {
        Alike::First => "the first of its group".to_owned(),
        Alike::SamePixels => "the same pixels in another file".to_owned(),
        Alike::Near { bits } => format!("{bits} of 256 bits differ"),
    }
}
