//! What is written of explanations beside the pictures: numbers, for programs and for the page.

use serde::Serialize;
use wardround_vision::explain::Part;

use super::{Explanation, Method};

/// An explanation in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How it was made.
    pub method: Method,
    /// The probability of the image as it is, without altered views.
    pub probability_as_it_is: f64,
    /// The map.
    pub map: MapSummary,
    /// The mean probability without the most relevant pixels.
    pub deletion: f64,
    /// The mean probability without the least relevant pixels.
    pub insertion: f64,
    /// Half of what they differ by.
    pub faithfulness: f64,
    /// Mean size of the correlation with maps of shuffled models; none where a map is the same everywhere.
    pub likeness_to_shuffled: Option<f64>,
}

/// A map in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapSummary {
    /// From top to bottom.
    pub rows: usize,
    /// From left to right.
    pub columns: usize,
    /// Row by row, to six decimals.
    pub values: Vec<f64>,
    /// What speaks most for the class.
    pub highest: Place,
    /// What speaks least for it, or most against it.
    pub lowest: Place,
}

/// A part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// From the top, 0 to 1.
    pub down: f64,
    /// From the left, 0 to 1.
    pub across: f64,
    /// Its number in the map.
    pub value: f64,
}

/// How far the maps of a page can be trusted: means over its images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trust {
    /// How many images.
    pub images: usize,
    /// The mean probability without the most relevant pixels.
    pub deletion: f64,
    /// The mean probability without the least relevant pixels.
    pub insertion: f64,
    /// Half of what they differ by.
    pub faithfulness: f64,
    /// The mean size of the correlation with maps of shuffled models, over those images that have one.
    pub likeness_to_shuffled: Option<f64>,
}

impl Summary {
    /// In numbers.
    pub fn of(explanation: &Explanation) -> Self {
        let Explanation { method, map, probability, faithfulness, likeness, .. } = explanation;
        let six_decimals = |value: &f64| (value * 1e6).round() / 1e6;
        Self {
            method: *method,
            probability_as_it_is: *probability,
            map: MapSummary {
                rows: map.rows(),
                columns: map.columns(),
                values: map.values().iter().map(six_decimals).collect(),
                highest: map.highest().into(),
                lowest: map.lowest().into(),
            },
            deletion: faithfulness.deletion,
            insertion: faithfulness.insertion,
            faithfulness: faithfulness.gain(),
            likeness_to_shuffled: *likeness,
        }
    }
}

impl Trust {
    /// Means over explanations; `None` of none.
    pub fn of<'a>(explanations: impl IntoIterator<Item = &'a Explanation>) -> Option<Self> {
        let all: Vec<&Explanation> = explanations.into_iter().collect();
        let deletion = mean(all.iter().map(|one| one.faithfulness.deletion))?;
        let insertion = mean(all.iter().map(|one| one.faithfulness.insertion))?;
        Some(Self {
            images: all.len(),
            deletion,
            insertion,
            faithfulness: mean(all.iter().map(|one| one.faithfulness.gain()))?,
            likeness_to_shuffled: mean(all.iter().filter_map(|one| one.likeness)),
        })
    }
}

impl From<Part> for Place {
    fn from(Part { down, across, value }: Part) -> Self {
        Self { down, across, value }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
