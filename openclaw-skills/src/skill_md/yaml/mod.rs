//! YAML, read as the Node product's parser reads it: errors and all.
//!
//! The product repairs a front matter at the place where its parser, the npm package `yaml`, reports
//! the first error. So what counts here is not only what a text means, but which faults it has, in
//! which order and where. Libraries that stop at their first error can't say that. Stages and rules
//! follow that package (version 2.9, ISC licence: its notice is in `THIRD-PARTY.md` of this crate), for
//! one document under the core schema:
//!
//! ```text
//! text ─ scan ─▶ tokens ─ grow ─▶ tree ─ compose ─▶ nodes + faults ─ value ─▶ Value
//! ```
//!
//! Left out: what a front matter can't have, such as writing YAML, and the types behind the tags
//! `!!binary`, `!!timestamp`, `!!set`, `!!omap` and `!!pairs`, whose text stays text.

mod block_text;
mod compose;
mod fault;
mod flow_text;
mod grow;
mod node;
mod props;
mod scan;
mod tags;
mod token;
mod tree;
mod value;

pub(super) use fault::{Code, Fault};
pub(super) use node::{Node, NodeKind, Pair, Scalar};
pub(super) use value::{Value, number_text};

use fault::Faults;
use grow::Part;
use tags::Handles;
use token::Kind;

/// How deep collections may stand in each other.
pub(super) const MAX_NESTING: usize = 64;

/// The first document of a text.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) root: Option<Node>,
    /// In the order in which the product sees them.
    pub(super) faults: Vec<Fault>,
}

impl Document {
    /// The entries, if the document is a mapping.
    pub(super) fn pairs(&self) -> Option<&[Pair]> {
        match &self.root.as_ref()?.kind {
            NodeKind::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Its content; an alias may point nowhere, or unfold without end.
    pub(super) fn value(&self) -> Result<Value, &'static str> {
        self.root.as_ref().map_or(Ok(Value::Null), value::read)
    }
}

/// Reads a text of any content.
pub(super) fn parse(text: &str) -> Document {
    let parts = match grow::grow(text) {
        Ok(parts) => parts,
        Err(fault) => return Document { root: None, faults: vec![fault] },
    };
    let mut reader = Reader::default();
    for part in parts {
        if !reader.part(part, text) {
            break;
        }
    }
    reader.end()
}

#[derive(Default)]
struct Reader {
    doc: Option<Document>,
    handles: Handles,
    /// Faults that belong to the next document, or to this one at its end.
    pending: Faults,
    /// A directive was read, and no document since.
    directed: bool,
}

impl Reader {
    /// Is there more to read?
    fn part(&mut self, part: Part, text: &str) -> bool {
        match part {
            Part::Directive(token) => {
                let line = text.get(token.start..token.end).unwrap_or_default();
                if let Err(message) = self.handles.directive(line) {
                    self.pending.add(token.start, Code::BadDirective, message);
                }
                self.directed = true;
            }
            Part::Fault(fault) => match &mut self.doc {
                Some(doc) if !self.directed => doc.faults.push(fault),
                _ => self.pending.list.push(fault),
            },
            Part::DocEnd(token, tail) => {
                if self.doc.is_none() {
                    self.pending.add(token.start, Code::Unexpected, "`...` ends no document");
                } else {
                    props::read_tail(&tail, token.end, true, &mut self.pending);
                    self.settle();
                }
            }
            Part::Doc(tree) => {
                if let Some(doc) = &mut self.doc {
                    let message = "a second document follows".to_owned();
                    doc.faults.push(Fault { pos: tree.start, code: Code::MultipleDocs, message });
                    return false;
                }
                let root = compose::compose(&tree, text, &self.handles, &mut self.pending);
                let marked = tree.props.iter().any(|token| token.kind == Kind::DocStart);
                if self.directed && !marked {
                    self.pending.add(
                        tree.start,
                        Code::MissingChar,
                        "`---` must stand behind directives",
                    );
                }
                self.directed = false;
                self.doc = Some(Document { root: Some(root), faults: Vec::new() });
                self.settle();
            }
        }
        true
    }

    fn settle(&mut self) {
        if let Some(doc) = &mut self.doc {
            doc.faults.append(&mut self.pending.list);
        }
    }

    fn end(mut self) -> Document {
        if self.doc.is_none() && self.directed {
            self.pending.add(0, Code::MissingChar, "`---` must stand behind directives");
        }
        self.doc.get_or_insert_default();
        self.settle();
        self.doc.unwrap_or_default()
    }
}
