//! The `Link` header (RFC 8288).

use http::{HeaderMap, header};

/// Links that are looked at: no header is worth more time.
const MAX_LINKS: usize = 32;

/// Where the next page is, by the first link with the relation `next`.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(header::LINK).iter().filter_map(|field| field.to_str().ok());
    let mut links = fields.flat_map(|field| split(field, ',')).take(MAX_LINKS);
    links.find_map(target)
}

/// The target of one link, when it is that of the next page.
fn target(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    let mut relation = None;
    for param in split(rest, ';') {
        let (name, value) = param.split_once('=').unwrap_or((param, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            // A link of something else than what was read.
            "anchor" => return None,
            // Only the first one counts.
            "rel" if relation.is_none() => relation = Some(unquoted(value.trim())),
            _ => {}
        }
    }
    let next = relation?.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"));
    next.then(|| target.trim().to_owned())
}

/// The parts between separators outside of quotes and `<…>`. Empty ones are left out.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut within, mut escaped) = (None, false);
    let parts = text.split(move |c: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match within {
            Some('"') if c == '\\' => escaped = true,
            Some(end) if c == end => within = None,
            Some(_) => {}
            None if c == '"' => within = Some('"'),
            None if c == '<' => within = Some('>'),
            None => return c == at,
        }
        false
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut text, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        match c {
            _ if escaped => {
                text.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => break,
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::LINK, field.parse().unwrap());
        }
        next(&headers)
    }

    #[test]
    fn the_next_page_is_found() {
        for fields in [
            &["</x?page=2>; rel=\"next\""][..],
            &["</x?page=2>;rel=next"],
            &["</x?page=9>; rel=\"last\", </x?page=2>; rel=\"next\""],
            &["</y>; rel=\"prev\"", "</x?page=2>; REL=\"NEXT\""],
            &["</x?page=2>; rel=\"start next\"; title=\"a, b; c\""],
            &["</y>; title=\"<x>; rel=next, \\\"\"; rel=prev , </x?page=2> ; rel=\"n\\ext\""],
        ] {
            assert_eq!(read(fields).as_deref(), Some("/x?page=2"), "{fields:?}");
        }
        assert_eq!(read(&["</x?a=1,2;b>; rel=next"]).as_deref(), Some("/x?a=1,2;b"));
    }

    #[test]
    fn what_is_no_next_page_is_none() {
        for fields in [
            &[][..],
            &["</x>"],
            &["</x>; rel=\"last\""],
            &["</x>; rel=\"nextish\""],
            &["</x>; rel=prev; rel=next"],
            &["</x>; anchor=\"/other\"; rel=next"],
            &["/x; rel=next"],
            &["<x; rel=next"],
            &["; rel=next"],
            &["</x>; title=\"; rel=next"],
        ] {
            assert_eq!(read(fields), None, "{fields:?}");
        }
    }
}
