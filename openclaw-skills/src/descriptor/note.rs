//! What a strict reader says of a descriptor that was read leniently.

use std::fmt;

use super::{Descriptor, Sbom, Unknown};
use crate::{pointer::below, problem::printable};

/// Something in a descriptor that is worth a look, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// RFC 6901 pointer to the place.
    pub pointer: String,
    /// What is odd there, and what it means.
    pub text: String,
}

impl Note {
    pub(super) fn new(pointer: &str, text: &str) -> Self {
        Self { pointer: printable(pointer, 256), text: text.to_owned() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "at the top" } else { &self.pointer };
        write!(f, "{place}: {}", self.text)
    }
}

/// Everything a strict reader would ask about.
pub(super) fn notes(descriptor: &Descriptor) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut missing = |is: bool, pointer: &str, text: &str| {
        if is {
            notes.push(Note::new(pointer, text));
        }
    };
    let d = descriptor;
    missing(d.description.trim().is_empty(), "/description", "missing: a model has to guess");
    missing(d.inputs.is_none(), "/inputs", "missing: any input is taken");
    missing(d.outputs.is_none(), "/outputs", "missing: any output is taken");
    missing(d.effects.is_none(), "/effects", "missing: the worst is assumed");
    let touches = d.effects.as_ref().is_some_and(|effects| effects.touches.is_none());
    missing(touches, "/effects/touches", "missing: everything is assumed");
    for (place, unknown) in unknowns(d) {
        for name in unknown.keys() {
            notes.push(Note::new(&below(&place, name), "unknown field: kept, and not used"));
        }
    }
    notes
}

/// The unknown fields of each part, and the part's place.
fn unknowns(d: &Descriptor) -> Vec<(String, &Unknown)> {
    let part = |place: &str, unknown| Some((place.to_owned(), unknown));
    let mut all = vec![
        part("", &d.unknown),
        d.runtime.as_ref().and_then(|p| part("/runtime", &p.unknown)),
        d.effects.as_ref().and_then(|p| part("/effects", &p.unknown)),
        d.limits.as_ref().and_then(|p| part("/limits", &p.unknown)),
        d.deprecated.as_ref().and_then(|p| part("/deprecated", &p.unknown)),
        d.api.as_ref().and_then(|p| part("/api", &p.unknown)),
        d.integrity.as_ref().and_then(|p| part("/integrity", &p.unknown)),
    ];
    if let Some(Sbom::Pinned { unknown, .. }) = &d.sbom {
        all.push(part("/sbom", unknown));
    }
    let files = d.integrity.iter().flat_map(|integrity| &integrity.files);
    all.extend(files.map(|(path, file)| Some((below("/integrity/files", path), &file.unknown))));
    all.into_iter().flatten().collect()
}
