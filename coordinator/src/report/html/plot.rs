//! What the plots share: a square or wide area in data units, its axes and their labels. All plots
//! are SVG with a title and a description; a series is told by dashes and markers, never by colour
//! alone.

use super::markup::{Element, Markup, el};

/// A rectangle of the drawing that shows a rectangle of the data.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// Left edge in drawing units.
    pub left: f64,
    /// Upper edge in drawing units.
    pub top: f64,
    /// Width in drawing units.
    pub width: f64,
    /// Height in drawing units.
    pub height: f64,
    /// Lowest and highest shown `x`.
    pub x: [f64; 2],
    /// Lowest and highest shown `y`.
    pub y: [f64; 2],
}

impl Area {
    /// Where an `x` lies, kept inside the area.
    pub fn x(&self, x: f64) -> f64 {
        let share = (x - self.x[0]) / (self.x[1] - self.x[0]);
        self.left + self.width * share.clamp(0.0, 1.0)
    }

    /// Where a `y` lies, kept inside the area; `y` grows upwards.
    pub fn y(&self, y: f64) -> f64 {
        let share = (y - self.y[0]) / (self.y[1] - self.y[0]);
        self.top + self.height * (1.0 - share.clamp(0.0, 1.0))
    }

    /// The corners of a curve as an SVG path.
    pub fn path(&self, points: &[[f64; 2]]) -> String {
        let mut path = String::new();
        for (at, &[x, y]) in points.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{step}{} {}", unit(self.x(x)), unit(self.y(y))));
        }
        path
    }

    /// A unit square's grid with ticks each `step`, labels and axis titles.
    pub fn unit_axes(&self, step: f64, x_title: &str, y_title: &str) -> Markup {
        let bottom = self.top + self.height;
        let mut group = el("g");
        let ticks = (1.0 / step).round() as u32;
        for tick in 0..=ticks {
            let value = f64::from(tick) * step;
            let (x, y) = (self.x(value), self.y(value));
            let label = tick_label(value, step);
            group = group
                .add(line("grid", [x, self.top], [x, bottom]))
                .add(line("grid", [self.left, y], [self.left + self.width, y]))
                .add(label_at("tick", [x, bottom + 15.0], "middle", &label))
                .add(label_at("tick", [self.left - 6.0, y + 4.0], "end", &label));
        }
        let (middle_x, middle_y) = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        let frame = el("rect")
            .attr("class", "axis")
            .attr("x", unit(self.left))
            .attr("y", unit(self.top))
            .attr("width", unit(self.width))
            .attr("height", unit(self.height));
        if !x_title.is_empty() {
            group = group.add(label_at("", [middle_x, bottom + 34.0], "middle", x_title));
        }
        if !y_title.is_empty() {
            let turn = format!("rotate(-90 {} {})", unit(self.left - 36.0), unit(middle_y));
            let title = label("", [self.left - 36.0, middle_y], "middle", y_title);
            group = group.add(title.attr("transform", turn));
        }
        group.add(frame).into()
    }

    /// The diagonal of a unit square.
    pub fn diagonal(&self) -> Markup {
        line("chance", [self.x(0.0), self.y(0.0)], [self.x(1.0), self.y(1.0)])
    }
}

/// An image with its text alternative. `key` makes its ids unique on the page.
pub fn svg(key: &str, size: [f64; 2], title: &str, description: &str) -> Element {
    let (title_id, description_id) = (format!("{key}-title"), format!("{key}-text"));
    el("svg")
        .attr("viewBox", format!("0 0 {} {}", unit(size[0]), unit(size[1])))
        .attr("role", "img")
        .attr("aria-labelledby", format!("{title_id} {description_id}"))
        .add(el("title").attr("id", title_id).text(title))
        .add(el("desc").attr("id", description_id).text(description))
}

/// A straight line.
pub fn line(class: &'static str, from: [f64; 2], to: [f64; 2]) -> Markup {
    el("line")
        .attr("class", class)
        .attr("x1", unit(from[0]))
        .attr("y1", unit(from[1]))
        .attr("x2", unit(to[0]))
        .attr("y2", unit(to[1]))
        .into()
}

/// A path.
pub fn path(class: &'static str, steps: String) -> Markup {
    el("path").attr("class", class).attr("d", steps).into()
}

/// A disc.
pub fn disc(class: &'static str, at: [f64; 2], radius: f64) -> Markup {
    el("circle")
        .attr("class", class)
        .attr("cx", unit(at[0]))
        .attr("cy", unit(at[1]))
        .attr("r", unit(radius))
        .into()
}

/// A square on its tip.
pub fn diamond(class: &'static str, [x, y]: [f64; 2], radius: f64) -> Markup {
    let corners = [[x - radius, y], [x, y - radius], [x + radius, y], [x, y + radius]];
    let points = corners.map(|[x, y]| format!("{},{}", unit(x), unit(y))).join(" ");
    el("polygon").attr("class", class).attr("points", points).into()
}

/// Finished text; `anchor` is `start`, `middle` or `end`.
pub fn label_at(class: &'static str, at: [f64; 2], anchor: &'static str, text: &str) -> Markup {
    label(class, at, anchor, text).into()
}

/// Text under construction.
pub fn label(class: &'static str, at: [f64; 2], anchor: &'static str, text: &str) -> Element {
    let element = if class.is_empty() { el("text") } else { el("text").attr("class", class) };
    element.attr("x", unit(at[0])).attr("y", unit(at[1])).attr("text-anchor", anchor).text(text)
}

/// A name of at most `length` characters; the whole one goes into a title.
pub fn clipped(name: &str, length: usize) -> String {
    if name.chars().count() <= length {
        name.to_owned()
    } else {
        let kept: String = name.chars().take(length.saturating_sub(1)).collect();
        format!("{kept}\u{2026}")
    }
}

/// A drawing unit with one decimal, whole numbers without.
pub fn unit(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn tick_label(value: f64, step: f64) -> String {
    if step < 0.1 { format!("{value:.2}") } else { format!("{value:.1}") }
}
