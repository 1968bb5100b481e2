//! Markup by construction: names of elements and attributes are part of the program, whatever comes
//! from data is escaped on its way in. Whoever writes a page writes no `<` or `&` of its own.

use std::fmt::{Display, Write as _};

/// Finished markup.
#[derive(Debug, Clone, Default)]
pub struct Markup(String);

impl Markup {
    /// The text of the markup.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<I: IntoIterator<Item = Markup>>(parts: I) -> Self {
        Markup(parts.into_iter().map(|part| part.0).collect())
    }
}

/// An element under construction.
#[derive(Debug, Clone)]
pub struct Element {
    name: &'static str,
    attributes: String,
    body: String,
}

/// Begins an element.
pub fn el(name: &'static str) -> Element {
    Element { name, attributes: String::new(), body: String::new() }
}

impl Element {
    /// Adds an attribute.
    pub fn attr(mut self, name: &'static str, value: impl Display) -> Self {
        let _ = write!(self.attributes, " {name}=\"");
        escape(&value.to_string(), &mut self.attributes);
        self.attributes.push('"');
        self
    }

    /// Adds text.
    pub fn text(mut self, text: impl Display) -> Self {
        escape(&text.to_string(), &mut self.body);
        self
    }

    /// Adds something finished.
    #[expect(clippy::should_implement_trait, reason = "a page is a chain of calls, not a sum")]
    pub fn add(mut self, child: impl Into<Markup>) -> Self {
        self.body.push_str(&child.into().0);
        self
    }

    /// Adds several finished things.
    pub fn add_all<M: Into<Markup>>(mut self, children: impl IntoIterator<Item = M>) -> Self {
        for child in children {
            self.body.push_str(&child.into().0);
        }
        self
    }

    /// Adds the program's own style sheet, which must not be escaped.
    pub fn style(mut self, css: &'static str) -> Self {
        self.body.push_str(css);
        self
    }
}

impl From<Element> for Markup {
    fn from(element: Element) -> Markup {
        let Element { name, attributes, body } = element;
        let void = matches!(name, "meta" | "br" | "hr" | "img");
        // A line break before blocks keeps lines short enough to look at.
        let newline = match name {
            "tr" | "section" | "table" | "figure" | "p" | "h1" | "h2" | "h3" | "svg" | "li" => "\n",
            _ => "",
        };
        Markup(if void {
            format!("{newline}<{name}{attributes}>")
        } else {
            format!("{newline}<{name}{attributes}>{body}</{name}>")
        })
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Controls, and marks that turn the direction of the text after them, show themselves.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_break_out() {
        let nasty = "</title><script>alert(1)</script>\"' onload='x' \u{202e}\u{0}&amp;";
        let made: Markup = el("p").attr("title", nasty).text(nasty).into();
        let made = made.into_string();
        assert!(!made.contains("<script") && !made.contains("</title>"), "{made}");
        assert!(!made.contains('\u{202e}') && !made.contains('\u{0}'));
        assert_eq!(made.matches('"').count(), 2, "{made}");
        assert_eq!(made.matches('\'').count(), 0);
        assert!(made.contains("&amp;amp;"));
    }
}
