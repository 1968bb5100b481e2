//! The page of explained images: one file, no script, no network, pictures within it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wardround_core::markup::{Element, Markup, el};
use wardround_vision::Picture;
use wardround_vision::explain::{Part, paint};

use super::{ExplainError, Explanation, Method, Trust};

/// Nothing may be loaded and nothing may run; style sheet and pictures stand in the page.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The scale's width and height, pixels.
const SCALE: (usize, usize) = (240, 18);

/// What a page is about.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// Its title.
    pub title: &'a str,
    /// The study's name, and what it predicts.
    pub study: &'a str,
    /// Sentences before anything else.
    pub said: &'a [String],
}

/// An image with what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// Where links lead to; letters, digits and hyphens.
    pub anchor: &'a str,
    /// What the image is called here.
    pub name: &'a str,
    /// The class that it is explained for.
    pub class: &'a str,
    /// The bundle's probability of it.
    pub probability: f64,
    /// The probability from which the class is called.
    pub threshold: f64,
    /// More that is known: what, and its value.
    pub facts: &'a [(String, String)],
    /// The explanation.
    pub explanation: &'a Explanation,
}

/// A whole page of maps.
///
/// # Errors
/// [`ExplainError::Drawing`].
pub fn document(
    heading: Heading<'_>,
    trust: Option<Trust>,
    sections: impl IntoIterator<Item = Markup>,
) -> Result<String, ExplainError> {
    let before = [reading()?].into_iter().chain(trust.map(trusted));
    Ok(frame(heading, before.chain(sections)))
}

/// A whole page without maps.
pub fn frame(heading: Heading<'_>, sections: impl IntoIterator<Item = Markup>) -> String {
    let Heading { title, study, said } = heading;
    let meta =
        |name: &'static str, content: &str| el("meta").attr("name", name).attr("content", content);
    let policy =
        el("meta").attr("http-equiv", "Content-Security-Policy").attr("content", CONTENT_POLICY);
    let head = el("head")
        .add(el("meta").attr("charset", "utf-8"))
        .add(policy)
        .add(meta("viewport", "width=device-width, initial-scale=1"))
        .add(meta("color-scheme", "light dark"))
        .add(meta("robots", "noindex"))
        .add(el("title").text(format!("{title} \u{2013} {study}")))
        .add(el("style").style(include_str!("page.css")));
    let warning = "This page holds patients\u{2019} images and what is known of them. It must not \
                   leave the hospital: don\u{2019}t send it, and delete the folder when nobody needs \
                   it any more.";
    let header = el("header")
        .add(el("p").attr("class", "kicker").text(study))
        .add(el("h1").text(title))
        .add(el("p").attr("class", "warning").attr("role", "note").text(warning))
        .add_all(said.iter().map(|sentence| el("p").text(sentence)));
    let main = el("main").add_all(sections);
    let footer = el("footer").add(el("p").attr("class", "soft").text(format!(
        "Written by wardround-site {} on this machine. The numbers stand in the file beside \
         this page.",
        env!("CARGO_PKG_VERSION")
    )));
    let body = el("body").add(header).add(main).add(footer);
    let page: Markup = el("html").attr("lang", "en").add(head).add(body).into();
    format!("<!doctype html>\n{}\n", page.into_string())
}

/// A section with a heading and a table.
pub fn figures(title: &str, table: Markup) -> Markup {
    el("section").add(el("h2").text(title)).add(table).into()
}

/// A section with a heading, a sentence and cards.
pub fn section(title: &str, said: &str, parts: impl IntoIterator<Item = Markup>) -> Markup {
    el("section")
        .add(el("h2").text(title))
        .add(el("p").attr("class", "soft").text(said))
        .add(el("div").attr("class", "cards").add_all(parts))
        .into()
}

/// An image, its map, and what is known of it.
///
/// # Errors
/// [`ExplainError::Drawing`].
pub fn card(card: Card<'_>) -> Result<Markup, ExplainError> {
    let Card { anchor, name, class, probability, threshold, facts, explanation } = card;
    let Explanation { method, map, plain, painted, faithfulness, likeness, .. } = explanation;
    let (highest, lowest) = (map.highest(), map.lowest());
    let what = format!(
        "Heat map over the image of {name}: speaks most for \u{2018}{class}\u{2019} {}, and {} \
         {}.",
        place(highest),
        least(lowest),
        place(lowest),
    );
    let picture = |picture: &Picture, text: &str, caption: &str| -> Result<Element, ExplainError> {
        Ok(el("figure").add(image(picture, text)?).add(el("figcaption").text(caption)))
    };
    let pair = el("div")
        .attr("class", "pair")
        .add(picture(
            plain,
            &format!("The image of {name} as the network sees it."),
            "As the network sees it",
        )?)
        .add(picture(painted, &what, &format!("What speaks for \u{2018}{class}\u{2019}"))?);
    let called = if probability >= threshold { "called so" } else { "not called so" };
    let mut list = el("dl").add_all(fact(
        "Probability",
        &format!("{probability:.3} of \u{2018}{class}\u{2019}, from {threshold:.3} on: {called}"),
    ));
    for (what, value) in facts {
        list = list.add_all(fact(what, value));
    }
    let likeness = match likeness {
        Some(likeness) => format!("; likeness to maps of shuffled models {likeness:.2}"),
        None => "; the map is the same everywhere".to_owned(),
    };
    let list = list
        .add_all(fact("Most for", &format!("{:+.3}, {}", highest.value, place(highest))))
        .add_all(fact(against(lowest), &format!("{:+.3}, {}", lowest.value, place(lowest))))
        .add_all(fact(
            "Full colour",
            &format!("\u{b1}{:.3}, lines at half of it", explanation.strongest),
        ))
        .add_all(fact("Made by", words(*method)))
        .add_all(fact(
            "Faithfulness",
            &format!(
                "{:+.3} (without the most relevant parts {:.3}, without the least relevant ones \
             {:.3}){likeness}",
                faithfulness.gain(),
                faithfulness.deletion,
                faithfulness.insertion
            ),
        ));
    let made = el("article").attr("id", anchor).add(el("h3").text(name)).add(pair).add(list);
    Ok(made.into())
}

/// In place of a card that stands further up.
pub fn above(anchor: &str, name: &str) -> Markup {
    let link = el("a").attr("href", format!("#{anchor}")).text(name);
    let said = el("p").attr("class", "soft").text("Shown above.");
    el("article").add(el("h3").add(link)).add(said).into()
}

/// In place of a card that there is none of.
pub fn missing(name: &str, why: &str) -> Markup {
    el("article").add(el("h3").text(name)).add(el("p").text(why)).into()
}

/// A table.
pub fn table<'a>(
    caption: &str,
    header: &[&str],
    rows: impl IntoIterator<Item = &'a [String]>,
) -> Markup {
    let head = header.iter().map(|name| el("th").attr("scope", "col").text(name));
    let row = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(at, cell)| match at {
            0 => el("th").attr("scope", "row").text(cell),
            _ => el("td").text(cell),
        });
        el("tr").add_all(cells)
    };
    let table = el("table")
        .add(el("caption").text(caption))
        .add(el("thead").add(el("tr").add_all(head)))
        .add(el("tbody").add_all(rows.into_iter().map(row)));
    el("div").attr("class", "wide").attr("tabindex", "0").add(table).into()
}

/// A method in words.
pub fn words(method: Method) -> &'static str {
    match method {
        Method::Cam => "class activation map (exact)",
        Method::Occlusion => "occlusion",
    }
}

/// How to read the maps.
fn reading() -> Result<Markup, ExplainError> {
    let scale = paint::scale(SCALE.0, SCALE.1).ok_or(ExplainError::Drawing)?;
    let text = "Scale: blue on the left speaks against the class, with a dotted line at half \
         strength; orange on the right speaks for it, with a solid line at half strength.";
    let key = el("div")
        .attr("class", "key")
        .add(el("span").text("against: blue, dotted line"))
        .add(image(&scale, text)?)
        .add(el("span").text("for: orange, solid line"));
    let made = el("section")
        .add(el("h2").text("How to read the maps"))
        .add(key)
        .add(el("p").text(
            "Each map has its own scale; the number of its full colour stands below it. A \
             class activation map gives each part of the image the score (a logit) that the \
             image would have if all of it were like this part, less what the threshold takes: \
             the mean of all parts is the image\u{2019}s own. A map by occlusion gives what \
             the score loses when this part is covered.",
        ))
        .add(el("p").text(
            "A map shows what the model used, not where disease is. A part may count because \
             of what lies around it, since networks look far beyond a part.",
        ));
    Ok(made.into())
}

/// How far the maps can be trusted.
fn trusted(trust: Trust) -> Markup {
    let Trust { images, deletion, insertion, faithfulness, likeness_to_shuffled } = trust;
    let likeness = match likeness_to_shuffled {
        Some(likeness) => format!("{likeness:.3}"),
        None => "\u{2013}".to_owned(),
    };
    let rows = [
        (
            "Faithfulness",
            format!("{faithfulness:+.3}"),
            "half of the difference of the next two, at most 0.5; about 0 for a map that says \
             nothing, and where the probability is near 0 or 1 whatever is removed",
        ),
        (
            "Insertion",
            format!("{insertion:.3}"),
            "mean probability without the least relevant 20, 40, 60 and 80 % of the pixels: \
             high is good",
        ),
        (
            "Deletion",
            format!("{deletion:.3}"),
            "mean probability without the most relevant 20, 40, 60 and 80 %: low is good",
        ),
        (
            "Likeness to shuffled models",
            likeness,
            "mean size of the rank correlation with maps of the model with its weights \
             exchanged for each other: near 1 the maps show the image rather than the model",
        ),
    ];
    let rows = rows.map(|(what, mean, is)| [what.to_owned(), mean, is.to_owned()]);
    let caption = format!(
        "Means over {images} maps. Removed pixels are filled in from their neighbours (ROAD, \
         2022)."
    );
    el("section")
        .add(el("h2").text("How far they can be trusted"))
        .add(table(&caption, &["", "mean", "what it is"], rows.iter().map(<[String; 3]>::as_slice)))
        .into()
}

fn fact(what: &str, value: &str) -> [Element; 2] {
    [el("dt").text(what), el("dd").text(value)]
}

/// A picture in the page, with its text for those who don't see it.
///
/// # Errors
/// [`ExplainError::Drawing`].
pub fn image(picture: &Picture, text: &str) -> Result<Element, ExplainError> {
    let png = picture.png().map_err(|_| ExplainError::Drawing)?;
    Ok(el("img")
        .attr("src", format!("data:image/png;base64,{}", STANDARD.encode(png)))
        .attr("alt", text)
        .attr("width", picture.width())
        .attr("height", picture.height()))
}

fn place(part: Part) -> String {
    let percent = |share: f64| (100.0 * share).round();
    format!("{} % from the left and {} % from the top", percent(part.across), percent(part.down))
}

fn least(lowest: Part) -> &'static str {
    if lowest.value < 0.0 { "most against it" } else { "least for it" }
}

fn against(lowest: Part) -> &'static str {
    if lowest.value < 0.0 { "Most against" } else { "Least for" }
}
