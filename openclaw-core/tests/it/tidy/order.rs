//! The order of core's rooms: a file imports from rows above, or from its own without a circle.

use std::collections::BTreeMap;

use super::{
    Finding,
    source::{self, Names},
};

/// Core's rows, top to bottom.
const ROWS: &[&str] = &["words", "traits", "store", "records", "middleware", "gateway"];

const SRC: &str = "openclaw-core/src/";

/// A module of core: its file and what it names.
#[derive(Debug)]
struct Module {
    file: String,
    names: Names,
}

/// Core's modules by their path; the crate root is `""`.
#[derive(Debug, Default)]
struct Core(BTreeMap<String, Module>);

/// One module that names another, and the line it does so on.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    line: usize,
    public: bool,
}

/// Looks at all of core at once: re-exports and circles span files.
pub(super) fn order(files: &[(&str, &str)]) -> Vec<Finding> {
    let core = Core::new(files);
    let edges = core.edges();
    let mut found = core.strays();
    found.extend(edges.iter().filter_map(|edge| core.upward(edge)));
    let inner: Vec<&Edge> = edges.iter().filter(|edge| can_circle(edge)).collect();
    found.extend(inner.iter().filter_map(|edge| core.circle(edge, &inner)));
    found.sort_by(|a, b| (&a.path, a.line, &a.todo).cmp(&(&b.path, b.line, &b.todo)));
    found.dedup();
    found
}

impl Core {
    fn new(files: &[(&str, &str)]) -> Self {
        let modules = files.iter().filter_map(|(file, text)| {
            let names = source::names(&source::shipped(text));
            Some((module_of(file)?, Module { file: (*file).to_owned(), names }))
        });
        Self(modules.collect())
    }

    /// Files that stand in no row.
    fn strays(&self) -> Vec<Finding> {
        let stray = self.0.iter().filter(|(path, _)| !path.is_empty() && row(path).is_none());
        let todo = format!("move it into one of the rows {}", ROWS.join(", "));
        stray.map(|(_, module)| Finding::new(&module.file, 1, "order", &todo)).collect()
    }

    fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (from, module) in &self.0 {
            let imports = module.names.imports.iter().map(|i| (&i.path, i.public));
            let long = module.names.paths.iter().filter(|path| path.segments.len() > 1);
            let paths = long.map(|path| (path, false));
            for (path, public) in imports.chain(paths) {
                if let Some(to) = self.absolute(from, &path.segments).map(|p| self.locate(&p, 8)) {
                    edges.push(Edge { from: from.clone(), to, line: path.line, public });
                }
            }
        }
        edges
    }

    /// `segments` as written in `module`, from the crate root; `None` when it leads elsewhere.
    fn absolute(&self, module: &str, segments: &[String]) -> Option<Vec<String>> {
        let (head, rest) = segments.split_first()?;
        let mut base = split(module);
        match head.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop()?;
                let supers = rest.iter().take_while(|s| *s == "super").count();
                base.truncate(base.len().checked_sub(supers)?);
                base.extend(rest.iter().skip(supers).cloned());
                return Some(base);
            }
            child => {
                base.push(child.to_owned());
                self.0.get(&base.join("::"))?;
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that `path` leads to, through re-exports; `hops` bounds a chain of them.
    fn locate(&self, path: &[String], hops: u8) -> String {
        let mut here = Vec::new();
        for (at, name) in path.iter().enumerate() {
            here.push(name.clone());
            if self.0.contains_key(&here.join("::")) {
                continue;
            }
            here.pop();
            let room = here.join("::");
            let rest = path.get(at + 1..).unwrap_or_default();
            let target = self.reexport(&room, name).filter(|_| hops > 0);
            return target.map_or(room, |mut target| {
                target.extend(rest.iter().cloned());
                self.locate(&target, hops - 1)
            });
        }
        here.join("::")
    }

    /// What `room` passes on under `name`.
    fn reexport(&self, room: &str, name: &str) -> Option<Vec<String>> {
        let module = self.0.get(room)?;
        let import = module.names.imports.iter().find(|i| i.public && i.name == name)?;
        self.absolute(room, &import.path.segments)
    }

    fn file(&self, module: &str) -> &str {
        self.0.get(module).map_or(SRC, |module| &module.file)
    }

    /// An import from a row below, or from the crate root, which is below them all.
    fn upward(&self, edge: &Edge) -> Option<Finding> {
        let from = row(&edge.from)?;
        let todo = match row(&edge.to) {
            Some(to) if to <= from => return None,
            Some(_) => format!("`{}` is in a row below: move what both need up", edge.to),
            None => "not found in any row: name the module that defines it".to_owned(),
        };
        Some(Finding::new(self.file(&edge.from), edge.line, "order", &todo))
    }

    /// An import whose target leads back to the file it stands in.
    fn circle(&self, edge: &Edge, edges: &[&Edge]) -> Option<Finding> {
        let (mut reached, mut next) = (vec![edge.to.as_str()], 0);
        while let Some(here) = reached.get(next).copied() {
            next += 1;
            for onward in edges.iter().filter(|onward| onward.from == here) {
                if !reached.contains(&onward.to.as_str()) {
                    reached.push(&onward.to);
                }
            }
        }
        let todo = format!("`{}` leads back to here: move what both need apart", edge.to);
        reached
            .contains(&edge.from.as_str())
            .then(|| Finding::new(self.file(&edge.from), edge.line, "circle", &todo))
    }
}

/// Passing a child on is no use of it, and a child may name the noun of its own folder.
fn can_circle(edge: &Edge) -> bool {
    let folder = format!("{}::", edge.to);
    !edge.public && edge.from != edge.to && !edge.from.starts_with(&folder)
}

/// The module path of a file of core.
fn module_of(file: &str) -> Option<String> {
    let path = file.strip_prefix(SRC)?.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    Some(if path == "lib" { String::new() } else { path.replace('/', "::") })
}

fn row(module: &str) -> Option<usize> {
    let room = module.split("::").next()?;
    ROWS.iter().position(|row| *row == room)
}

fn split(module: &str) -> Vec<String> {
    module.split("::").filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as `(path below src, text)`; findings as `path:line`.
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("{SRC}{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, t)| (path.as_str(), *t)).collect();
        let found: Vec<String> = order(&files)
            .iter()
            .map(|f| format!("{}:{}", f.path.trim_start_matches(SRC), f.line))
            .collect();
        assert_eq!(found, expected, "{files:?}");
    }

    const LIB: (&str, &str) =
        ("lib.rs", "pub use words::{error::Error, id::Id};\npub use gateway::G;");
    const WORDS: (&str, &str) = ("words/mod.rs", "pub mod error;\npub mod id;\npub use id::Id;");
    const ERROR: (&str, &str) = ("words/error.rs", "pub struct Error;");
    const GATEWAY: (&str, &str) = ("gateway/mod.rs", "pub struct G;");

    #[test]
    fn rows_above_and_the_own_row_are_fine() {
        let id = ("words/id.rs", "use crate::Error;\nuse super::error;");
        let store = ("store/mod.rs", "use crate::{Error, words::id};\nuse std::fmt;");
        check(&[LIB, WORDS, ERROR, id, store, GATEWAY], &[]);
    }

    #[test]
    fn a_row_below_is_found_however_it_is_named() {
        let id = ("words/id.rs", "");
        let by_path = ("traits/a.rs", "\nfn a() { crate::gateway::b(); }");
        check(&[LIB, WORDS, ERROR, id, GATEWAY, by_path], &["traits/a.rs:2"]);
        let by_root = ("traits/a.rs", "use crate::{\n    G,\n};");
        check(&[LIB, WORDS, ERROR, id, GATEWAY, by_root], &["traits/a.rs:1"]);
        let by_super = ("traits/a.rs", "use super::super::gateway::G;");
        check(&[LIB, WORDS, ERROR, id, GATEWAY, by_super], &["traits/a.rs:1"]);
    }

    #[test]
    fn a_name_that_leads_nowhere_is_found() {
        check(&[LIB, WORDS, ERROR, ("words/id.rs", "use crate::Nobody;")], &["words/id.rs:1"]);
    }

    #[test]
    fn a_file_outside_the_rows_is_found() {
        check(&[("misc.rs", "struct A;")], &["misc.rs:1"]);
    }

    #[test]
    fn a_circle_inside_a_row_is_found() {
        let id = ("words/id.rs", "use crate::Error;");
        let error = ("words/error.rs", "\nuse super::Id;");
        check(&[LIB, WORDS, error, id, GATEWAY], &["words/error.rs:2", "words/id.rs:1"]);
        let longer = [
            ("records/mod.rs", "mod a;\nmod b;\nmod c;"),
            ("records/a.rs", "use super::b;"),
            ("records/b.rs", "use super::c;"),
            ("records/c.rs", "use crate::records::a::A;"),
        ];
        check(&longer, &["records/a.rs:1", "records/b.rs:1", "records/c.rs:1"]);
    }

    #[test]
    fn a_child_may_name_the_noun_of_its_folder() {
        let gateway = ("gateway/mod.rs", "mod lanes;\nuse lanes::Lanes;\npub struct G;");
        check(&[gateway, ("gateway/lanes.rs", "use super::G;")], &[]);
    }

    #[test]
    fn test_modules_are_free() {
        let id = ("words/id.rs", "#[cfg(test)]\nmod tests {\n use crate::gateway::G;\n}");
        check(&[LIB, WORDS, ERROR, id, GATEWAY], &[]);
    }
}
