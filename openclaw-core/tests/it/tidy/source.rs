//! Reads Rust the cheap way: code without comments and strings, its imports and its paths.

/// A path as its segments, and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// One name that a `use` brings in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Path,
    /// The name in this file: the last segment, or what follows `as`.
    pub(super) name: String,
    /// Is it passed on, by `pub use`?
    pub(super) public: bool,
}

/// What a file imports, and every path it writes elsewhere.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) imports: Vec<Import>,
    pub(super) paths: Vec<Path>,
}

/// The 1-based line of byte `at`.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// `text` with comments, strings and character literals blanked; every line stays where it was.
pub(super) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut before) = (text, ' ');
    while let Some(first) = rest.chars().next() {
        let hidden = hidden(rest, before);
        let (head, tail) = rest.split_at(hidden.unwrap_or(first.len_utf8()));
        if hidden.is_some() {
            out.extend(head.chars().map(|c| if c == '\n' { c } else { ' ' }));
            before = ' ';
        } else {
            out.push(first);
            before = first;
        }
        rest = tail;
    }
    out
}

/// [`code`] without its inline `#[cfg(test)]` modules.
pub(super) fn shipped(text: &str) -> String {
    let mut code = code(text);
    while let Some(range) = test_module(&code) {
        blank(&mut code, range);
    }
    code
}

/// The imports and paths of `code`.
pub(super) fn names(code: &str) -> Names {
    let mut names = Names::default();
    let mut body = code.to_owned();
    while let Some((public, range)) = next_use(&body) {
        let tree = body.get(range.clone()).unwrap_or_default();
        let line = line_of(&body, range.start);
        let tree = tree.trim_start().trim_start_matches("use").trim_end_matches(';').to_owned();
        expand(&[], &tree, &mut |segments, name| {
            names.imports.push(Import { path: Path { line, segments }, name, public });
        });
        blank(&mut body, range);
    }
    names.paths = paths(&body);
    names
}

/// Where `word` stands in `code` as a word of its own.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code.get(..*at).and_then(|s| s.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|s| s.chars().next());
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment or literal that `rest` begins with.
fn hidden(rest: &str, before: char) -> Option<usize> {
    let raw = || if is_name(before) { None } else { raw_string(rest) };
    line_comment(rest)
        .or_else(|| block_comment(rest))
        .or_else(raw)
        .or_else(|| string(rest))
        .or_else(|| character(rest))
}

fn line_comment(rest: &str) -> Option<usize> {
    rest.starts_with("//").then(|| rest.find('\n').unwrap_or(rest.len()))
}

fn block_comment(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return rest.starts_with("/*").then_some(at);
        }
    }
    rest.starts_with("/*").then_some(rest.len())
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let inner = body.trim_start_matches('#');
    let close = format!("\"{}", "#".repeat(body.len() - inner.len()));
    let inner = inner.strip_prefix('"')?;
    let end = inner.find(&close).map_or(inner.len(), |at| at + close.len());
    Some(rest.len() - inner.len() + end)
}

fn string(rest: &str) -> Option<usize> {
    let mut escaped = false;
    let mut inner = rest.strip_prefix('"')?.char_indices();
    let end = inner.find(|(_, c)| {
        let closes = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    Some(end.map_or(rest.len(), |(at, _)| at + 2))
}

/// A character literal; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        let skip = escape.chars().next()?.len_utf8();
        return escape.get(skip..)?.find('\'').map(|at| 2 + skip + at + 1);
    }
    let mut chars = inner.chars();
    let c = chars.next()?;
    (chars.next() == Some('\'')).then_some(c.len_utf8() + 2)
}

fn blank(text: &mut String, range: std::ops::Range<usize>) {
    let spaces: String = text
        .get(range.clone())
        .unwrap_or_default()
        .chars()
        .flat_map(|c| std::iter::repeat_n(if c == '\n' { c } else { ' ' }, c.len_utf8()))
        .collect();
    text.replace_range(range, &spaces);
}

/// The first inline test module: from its `#[cfg(test)]` to its closing brace.
fn test_module(code: &str) -> Option<std::ops::Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    code.match_indices(MARK).find_map(|(start, _)| {
        let mut rest = code.get(start + MARK.len()..)?.trim_start();
        while let Some(attribute) = rest.strip_prefix("#[") {
            rest = attribute.split_once("]\n")?.1.trim_start();
        }
        let head = rest.get(..rest.find(['{', ';'])?)?;
        let is_module = words(head, "mod").next().is_some() && !head.contains('(');
        if !is_module || !rest.get(head.len()..)?.starts_with('{') {
            return None;
        }
        let open = code.len() - rest.len() + head.len();
        Some(start..open + braces(code.get(open..)?))
    })
}

/// The length of the braced block that `rest` begins with.
fn braces(rest: &str) -> usize {
    let mut depth = 0_usize;
    let end = rest.find(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    end.map_or(rest.len(), |at| at + 1)
}

/// The first `use …;` of `code`, and whether it is public.
fn next_use(code: &str) -> Option<(bool, std::ops::Range<usize>)> {
    words(code, "use").find_map(|at| {
        let before = code.get(..at)?.trim_end();
        let starts_item = before.is_empty() || before.ends_with(['}', '{', ';', ']', ')']);
        let public = before.ends_with("pub") || before.ends_with(')');
        let rest = code.get(at..)?;
        let end = at + rest.find(';')? + 1;
        let tree = rest.get(3..).is_some_and(|tree| tree.starts_with(char::is_whitespace));
        (tree && (starts_item || public)).then_some((public, at..end))
    })
}

/// Calls `found` with the path and the local name of each leaf of a `use` tree.
fn expand(prefix: &[String], tree: &str, found: &mut dyn FnMut(Vec<String>, String)) {
    for item in split_top(tree) {
        let (head, group) = match item.split_once('{') {
            Some((head, group)) => (head, group.rsplit_once('}').map(|(inner, _)| inner)),
            None => (item, None),
        };
        let (head, alias) = match head.split_once(" as ") {
            Some((head, alias)) => (head, Some(alias.trim())),
            None => (head, None),
        };
        let mut path = prefix.to_vec();
        path.extend(head.split("::").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned));
        if let Some(group) = group {
            expand(&path, group, found);
            continue;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = alias.or(path.last().map(String::as_str)).unwrap_or_default().to_owned();
        found(path, name);
    }
}

/// Splits at the commas that stand outside braces.
fn split_top(tree: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let items = tree.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    items.map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Every path in `code`: names joined by `::`.
fn paths(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let joined = line.split(|c: char| !is_name(c) && c != ':');
        for text in joined {
            let text = text.trim_matches(':');
            let plain = text.split(':').filter(|s| !s.is_empty()).count();
            let segments: Vec<String> = text.split("::").map(str::to_owned).collect();
            // `a: b` has no blank when it is squeezed; such a pair is no path.
            if plain == segments.len() && segments.iter().all(|s| !s.is_empty()) {
                found.push(Path { line: number + 1, segments });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_code(text: &str, expected: &str) {
        assert_eq!(code(text), expected);
    }

    fn imports(text: &str) -> Vec<String> {
        let shown = |i: Import| format!("{}={}", i.path.segments.join("::"), i.name);
        names(&code(text)).imports.into_iter().map(shown).collect()
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check_code("a // b\nc", "a     \nc");
        check_code("a /* b /* c */ d */ e", "a                   e");
        check_code(r#"f("x\"y", 'z', '\'')"#, "f(      ,    ,     )");
        check_code("r#\"a\"b\"# c", "         c");
        check_code("'a, 'static b'x'", "'a, 'static b   ");
    }

    #[test]
    fn only_inline_test_modules_are_cut() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n";
        let kept = shipped(text);
        assert!(kept.contains("fn a") && kept.contains("fn c") && !kept.contains("fn b"));
        assert_eq!(kept.lines().count(), text.lines().count());
        assert!(shipped("#[cfg(test)]\nuse a::b;\nfn c() {}").contains("a::b"));
        assert!(shipped("#[cfg(test)]\nmod tests;\nmod b { fn c() {} }").contains("fn c"));
    }

    #[test]
    fn use_trees_are_expanded() {
        let text = "use a::{b, c::{self, D as E}, f::*};\npub use g;\nfn h() { use i::j; }";
        assert_eq!(imports(text), ["a::b=b", "a::c=c", "a::c::D=E", "a::f::*=*", "g=g", "i::j=j"]);
        let names = names(text);
        let public: Vec<bool> = names.imports.iter().map(|i| i.public).collect();
        assert_eq!(public, [false, false, false, false, true, false]);
    }

    #[test]
    fn paths_keep_their_lines() {
        let names = names("use x::y;\n\nfn f(a: u8) -> ::b::C { d::e::<F>(g) }");
        let long: Vec<_> = names.paths.iter().filter(|p| p.segments.len() > 1).collect();
        let shown: Vec<_> = long.iter().map(|p| (p.line, p.segments.join("::"))).collect();
        assert_eq!(shown, [(3, "b::C".to_owned()), (3, "d::e".to_owned())]);
    }
}
