//! Narratives: the XHTML that R4 allows in `Narrative.div` (<https://hl7.org/fhir/R4/narrative.html#xhtml>), as white lists. What passes
//! has no script, no event handler, no form, no frame and nothing that a browser would fetch from elsewhere.

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
];

const ATTRIBUTES: &[&str] = &[
    "abbr",
    "align",
    "alt",
    "axis",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "char",
    "charoff",
    "cite",
    "class",
    "colspan",
    "compact",
    "datetime",
    "dir",
    "frame",
    "headers",
    "height",
    "href",
    "id",
    "lang",
    "name",
    "nowrap",
    "rowspan",
    "rules",
    "scope",
    "span",
    "src",
    "start",
    "style",
    "summary",
    "title",
    "type",
    "valign",
    "value",
    "width",
    "xml:lang",
    "xmlns",
];

/// Whether a narrative is well-formed and has nothing but formatting.
pub(super) fn safe(text: &str) -> bool {
    let text = text.trim();
    if !text.starts_with("<div") {
        return false;
    }
    let mut scanner = Scanner { rest: text, open: Vec::new(), content: false };
    scanner.run().is_some() && scanner.content
}

struct Scanner<'a> {
    rest: &'a str,
    open: Vec<&'a str>,
    content: bool,
}

impl<'a> Scanner<'a> {
    /// `None` as soon as something is not allowed.
    fn run(&mut self) -> Option<()> {
        while !self.rest.is_empty() {
            let (text, markup) = self.rest.split_at(self.rest.find('<').unwrap_or(self.rest.len()));
            // The outermost div ends the narrative: nothing may follow.
            if self.open.is_empty() && !text.is_empty() {
                return None;
            }
            entities(text)?;
            self.content |= !text.trim().is_empty();
            self.rest = markup;
            if !markup.is_empty() {
                self.markup()?;
                if self.open.is_empty() && !self.rest.is_empty() {
                    return None;
                }
            }
        }
        self.open.is_empty().then_some(())
    }

    fn markup(&mut self) -> Option<()> {
        if let Some(after) = self.rest.strip_prefix("<!--") {
            let (comment, after) = after.split_once("-->")?;
            self.rest = after;
            return (!comment.contains("--")).then_some(());
        }
        if let Some(after) = self.rest.strip_prefix("</") {
            let (name, after) = after.split_once('>')?;
            self.rest = after;
            return (self.open.pop()? == name.trim_end()).then_some(());
        }
        self.rest = self.rest.get(1..)?;
        let name = self.name()?;
        TAGS.contains(&name).then_some(())?;
        let closed = loop {
            self.rest = self.rest.trim_start();
            if let Some(after) = self.rest.strip_prefix("/>") {
                self.rest = after;
                break true;
            }
            if let Some(after) = self.rest.strip_prefix('>') {
                self.rest = after;
                break false;
            }
            self.attribute()?;
        };
        self.content |= name == "img";
        if !closed {
            self.open.push(name);
        }
        (self.open.len() <= 64).then_some(())
    }

    fn name(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != ':')?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    fn attribute(&mut self) -> Option<()> {
        let name = self.name()?;
        ATTRIBUTES.contains(&name).then_some(())?;
        let after = self.rest.trim_start().strip_prefix('=')?.trim_start();
        let quote = after.chars().next().filter(|first| matches!(first, '"' | '\''))?;
        let (value, rest) = after.get(1..)?.split_once(quote)?;
        self.rest = rest;
        entities(value)?;
        let allowed = match name {
            "href" | "cite" => link(value),
            "src" => image(value),
            "style" => style(value),
            "xmlns" => value == "http://www.w3.org/1999/xhtml",
            _ => true,
        };
        (allowed && !value.contains('<')).then_some(())
    }
}

/// `&name;` and `&#1;` only: a bare ampersand is not well-formed.
fn entities(text: &str) -> Option<()> {
    for part in text.split('&').skip(1) {
        let (name, _) = part.split_once(';')?;
        let name = name.strip_prefix('#').unwrap_or(name);
        let fits = (1..=31).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(())?;
    }
    Some(())
}

/// Links: known schemes, anchors and relative ones. An entity could hide a scheme.
fn link(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    let scheme_end = value.find(':');
    let path_start = value.find(['/', '?', '#']).unwrap_or(value.len());
    let scheme = scheme_end.filter(|at| *at < path_start).and_then(|at| value.get(..at));
    let hidden =
        value.get(..path_start).is_some_and(|head| head.contains('&') || head.contains(char::is_whitespace));
    !hidden && scheme.is_none_or(|scheme| matches!(scheme, "http" | "https" | "mailto" | "tel" | "urn"))
}

/// Images: inside the resource only (`#id`) or inline.
fn image(value: &str) -> bool {
    value.starts_with('#')
        || ["data:image/png;", "data:image/jpeg;", "data:image/gif;"]
            .iter()
            .any(|head| value.starts_with(head))
}

fn style(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    !["url", "expression", "import", "\\", "behavior", "binding", "/*", "&"]
        .iter()
        .any(|bad| value.contains(bad))
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn formatting_passes() {
        for body in [
            "x",
            "<p class=\"a\">a &amp; b<br/></p>",
            "<table border='1'><tr><td colspan=\"2\" style=\"color: red\">x</td></tr></table>",
            "<a href=\"https://example.org/x?a=b\">x</a><a href=\"#n\">y</a>",
            "<img src=\"#pic\" alt=\"x\"/>",
            "<!-- note -->x",
        ] {
            let text = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{body}</div>");
            assert!(safe(&text), "{text}");
        }
    }

    #[test]
    fn whatever_runs_or_fetches_or_breaks_out_is_refused() {
        for text in [
            "",
            "x",
            "<p>x</p>",
            "<div></div>",
            "<div> </div>",
            "<div>x",
            "<div>x</div>y",
            "<div>x</div><div>y</div>",
            "<div>x</p></div>",
            "<div><script>1</script></div>",
            "<div onclick=\"x\">x</div>",
            "<div>x & y</div>",
            "<div><SCRIPT>1</SCRIPT></div>",
            "<div><a href=\"javascript:x\">x</a></div>",
            "<div><a href=\" JaVaScRiPt:x\">x</a></div>",
            "<div><a href=\"java&#115;cript:x\">x</a></div>",
            "<div><img src=\"https://evil.example/x.png\"/></div>",
            "<div style=\"background:url(x)\">x</div>",
            "<div><iframe src=\"#x\"></iframe></div>",
            "<div><form>x</form></div>",
            "<div><![CDATA[x]]></div>",
            "<div><?php x ?></div>",
            "<!DOCTYPE x><div>x</div>",
            "<div title=x>x</div>",
            "<div title=\"<b>\">x</div>",
            "<div><svg>x</svg></div>",
            "<div xmlns=\"http://www.w3.org/2000/svg\">x</div>",
            "<div",
        ] {
            assert!(!safe(text), "{text}");
        }
    }
}
