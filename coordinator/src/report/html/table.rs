//! Tables with caption and scopes, and the rows that several sections share.

use wardround_privacy::suppress::Reason;

use super::super::model::{CohortCell, FigureRow};
use super::super::values::{Count, Estimate};
use super::markup::{Element, Markup, el};

/// Characters of a full bar.
const BAR_WIDTH: f64 = 16.0;

/// A cell: its text, and what stands small below it.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    below: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Why,
    Code,
    Chosen,
    Bar,
}

impl Cell {
    /// Text alone.
    pub fn plain(text: impl ToString) -> Self {
        Self { text: text.to_string(), below: String::new(), kind: Kind::Plain }
    }

    /// A digest or the like.
    pub fn code(text: impl ToString) -> Self {
        Self { text: text.to_string(), below: String::new(), kind: Kind::Code }
    }

    /// The first cell of the row that was chosen.
    pub fn chosen(text: impl ToString) -> Self {
        Self { text: text.to_string(), below: String::new(), kind: Kind::Chosen }
    }

    /// A word for what isn't there, and why.
    pub fn why(text: &str, why: &str) -> Self {
        Self { text: text.to_owned(), below: why.to_owned(), kind: Kind::Why }
    }

    /// Text with what stands small below it.
    pub fn with_below(text: impl ToString, below: String) -> Self {
        Self { text: text.to_string(), below, kind: Kind::Plain }
    }

    /// A number with a bar below it, which repeats it for the eye alone: `share` of the full length, 0 to 1.
    pub fn with_bar(text: impl ToString, share: f64) -> Self {
        // Blocks of one to eight eighths of a character.
        let eighths = (share.clamp(0.0, 1.0) * 8.0 * BAR_WIDTH).round().max(1.0) as u32;
        let last = char::from_u32(0x2590 - eighths % 8).filter(|_| !eighths.is_multiple_of(8));
        let whole = (0..eighths / 8).map(|_| '\u{2588}');
        Self { text: text.to_string(), below: whole.chain(last).collect(), kind: Kind::Bar }
    }

    /// An estimate with its interval, or why there is none.
    pub fn estimate(estimate: &Estimate) -> Self {
        let why = match estimate {
            Estimate::Withheld { reason: Reason::Empty } => String::new(),
            other => other.why(),
        };
        let (below, kind) =
            if why.is_empty() { (estimate.interval_text(), Kind::Plain) } else { (why, Kind::Why) };
        Self { text: estimate.short(), below, kind }
    }

    fn fill(&self, cell: Element) -> Element {
        let cell = match self.kind {
            Kind::Code => cell.add(el("code").text(&self.text)),
            Kind::Plain | Kind::Why | Kind::Chosen | Kind::Bar => cell.text(&self.text),
        };
        match (self.below.is_empty(), self.kind) {
            (true, _) => cell,
            (false, Kind::Bar) => {
                let bar = el("small").attr("class", "bar").attr("aria-hidden", "true");
                cell.add(bar.text(&self.below))
            }
            (false, Kind::Why) => cell.add(el("small").attr("class", "why").text(&self.below)),
            (false, _) => cell.add(el("small").text(&self.below)),
        }
    }
}

/// A table; the first cell of a row is its header. A table without rows says so.
pub fn table(caption: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Markup {
    if rows.is_empty() {
        return el("p").attr("class", "soft").text(format!("{caption}: none.")).into();
    }
    let head = columns.iter().map(|name| el("th").attr("scope", "col").text(name));
    let body = rows.into_iter().map(|row| {
        let chosen = row.first().is_some_and(|cell| cell.kind == Kind::Chosen);
        let cells = row.iter().enumerate().map(|(at, cell)| {
            cell.fill(if at == 0 { el("th").attr("scope", "row") } else { el("td") })
        });
        let row = if chosen { el("tr").attr("class", "chosen") } else { el("tr") };
        row.add_all(cells)
    });
    let made = el("table")
        .add(el("caption").text(caption))
        .add(el("thead").add(el("tr").add_all(head)))
        .add(el("tbody").add_all(body));
    el("div")
        .attr("class", "wide")
        .attr("tabindex", 0)
        .attr("role", "region")
        .attr("aria-label", caption)
        .add(made)
        .into()
}

/// Headers of [`figure_cells`], after the row's own; `unit` and `row` are the study's words.
pub fn figure_columns(unit: &str, row: &str) -> Vec<String> {
    vec![
        format!("{unit}s \u{2212} / +"),
        format!("{row}s \u{2212} / +"),
        "AUC".to_owned(),
        "sensitivity".to_owned(),
        "specificity".to_owned(),
        "Brier score".to_owned(),
        "ECE".to_owned(),
    ]
}

/// The cells of a row of figures; why some aren't there is said at the
/// first of them, and the others of the same reason are dashes.
pub fn figure_cells(row: &FigureRow) -> Vec<Cell> {
    let mut cells = vec![
        Cell::plain(pair(row.patients.negative, row.patients.positive)),
        Cell::plain(pair(row.images.negative, row.images.positive)),
    ];
    let figures = [&row.auc, &row.sensitivity, &row.specificity, &row.brier, &row.ece];
    for (at, figure) in figures.iter().enumerate() {
        let why = figure.why();
        let said = !why.is_empty() && figures[..at].iter().any(|before| before.why() == why);
        cells.push(if said { Cell::plain("\u{2013}") } else { Cell::estimate(figure) });
    }
    cells
}

/// The cells of a row of counts: all, each patients and images, what is judged where that isn't images, and by class
/// patients and what is judged.
pub fn count_cells(cell: &CohortCell, judged_apart: bool) -> Vec<Cell> {
    let mut cells = vec![Cell::plain(pair(cell.patients, cell.images))];
    if judged_apart {
        cells.push(Cell::plain(cell.judged));
    }
    let classes = cell.patients_by_class.iter().zip(&cell.judged_by_class);
    cells.extend(classes.map(|(&patients, &judged)| Cell::plain(pair(patients, judged))));
    cells
}

fn pair(first: Count, second: Count) -> String {
    match (first, second) {
        (Count::Withheld(_), Count::Withheld(_)) => first.to_string(),
        _ => format!("{first} / {second}"),
    }
}
