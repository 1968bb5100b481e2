//! Heat maps: tables whose cells are shaded by what they say.

use super::markup::{Element, Markup, el};

/// Shades, each way.
pub const SHADES: f64 = 4.0;

/// A heat map that scrolls by itself where a page is narrow. `corner` heads the column of row names, `label` is
/// read aloud.
pub fn heat_map(
    caption: &str,
    label: &str,
    corner: &str,
    columns: impl Iterator<Item = Element>,
    rows: impl Iterator<Item = Element>,
) -> Markup {
    let head = el("tr").add(el("th").attr("scope", "col").text(corner)).add_all(columns);
    let made = el("table")
        .attr("class", "heat")
        .add(el("caption").text(caption))
        .add(el("thead").add(head))
        .add(el("tbody").add_all(rows));
    el("div")
        .attr("class", "wide")
        .attr("tabindex", 0)
        .attr("role", "region")
        .attr("aria-label", label)
        .add(made)
        .into()
}
