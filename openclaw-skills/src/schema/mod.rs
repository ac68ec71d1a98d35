//! JSON Schemas, compiled once and offline.

mod pattern;
mod scopes;
mod unfold;
mod work;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use jsonschema::{ReferencingError, ValidationError, Validator, error::ValidationErrorKind};
use openclaw_core::{Digest, Error, ErrorKind, Result};
use serde_json::Value;

pub(crate) use self::work::address;
use self::{
    pattern::MAX_PATTERNS,
    unfold::MAX_UNFOLDED,
    work::{MAX_LEVELS, TooDeep, Work},
};
use crate::{
    problem::{MAX_PROBLEMS, Problem, printable, refusal},
    weight::{deeper_than, heavier_than, more_than},
};

/// How deep a value or a schema may be nested; deeper ones are refused.
///
/// Validation recurses, so without a bound a value could exhaust the stack.
pub const MAX_DEPTH: usize = 128;

/// How long a schema may be, in bytes of compact JSON.
pub const MAX_BYTES: usize = 256 << 10;

/// How many values a schema may hold, arrays and objects counted.
pub const MAX_NODES: usize = 20_000;

/// How many visits of rules one value may make, where references can multiply them.
const MAX_WORK: u64 = 500_000;

/// Compiles each JSON Schema and keeps one of it, however often it is asked for.
///
/// A clone shares the cache. Schemas are known by the digest of their canonical form and
/// forgotten when nothing uses them any more.
///
/// * Nothing is ever fetched: a `$ref` to a file or to the network is an error.
/// * Patterns run in linear time: look-around and back-references are errors.
/// * Depth, bytes and values of a schema are bounded, and so is the work that it can cause.
/// * So is what it compiles to: all its patterns together, and the copies that
///   `unevaluatedProperties` and `unevaluatedItems` make of the rules they refer to.
/// * `format` is an annotation, as JSON Schema 2020-12 has it.
///
/// ```
/// use openclaw_skills::Schemas;
/// use serde_json::json;
///
/// let schemas = Schemas::new();
/// let age = schemas.compile(&json!({ "type": "integer", "minimum": 0 }))?;
/// assert!(age.validate(&json!(42)).is_ok());
/// assert_eq!(age.problems(&json!(-7))[0].schema_path, "/minimum");
///
/// let again = schemas.compile(&json!({ "minimum": 0, "type": "integer" }))?;
/// assert_eq!((again.digest(), schemas.compiled()), (age.digest(), 1));
/// assert!(schemas.compile(&json!({ "$ref": "https://example.com/age.json" })).is_err());
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Schemas(Arc<Mutex<Cache>>);

#[derive(Debug, Default)]
struct Cache {
    known: BTreeMap<Digest, Weak<Compiled>>,
    compiled: u64,
}

impl Schemas {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compiles this schema, or finds it compiled.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: it is not a JSON Schema, points outside itself, uses a pattern
    /// that is not linear, or passes [`MAX_DEPTH`], [`MAX_BYTES`] or [`MAX_NODES`]. Or it would
    /// compile to too much: its references lead too deep, its patterns are too big together, or
    /// it gets too big when its references are unfolded, from `pointer` on.
    pub fn compile(&self, schema: &Value) -> Result<Schema> {
        small_enough(schema)?;
        let digest = Digest::of_json("openclaw-schema", schema);
        if let Some(known) = self.cache().known.get(&digest).and_then(Weak::upgrade) {
            return Ok(Schema(known));
        }
        let work = bounded(schema)?;
        let build = pattern::options(pattern::MAX_PATTERN).build(schema);
        let validator = build.map_err(|e| unusable(&e))?;
        let compiled = Arc::new(Compiled { validator, digest, schema: schema.clone(), work });
        // Nobody waits while another compiles. If that was the same schema, the first one stays.
        let mut cache = self.cache();
        if let Some(known) = cache.known.get(&digest).and_then(Weak::upgrade) {
            return Ok(Schema(known));
        }
        cache.known.retain(|_, schema| schema.strong_count() > 0);
        cache.known.insert(digest, Arc::downgrade(&compiled));
        cache.compiled += 1;
        Ok(Schema(compiled))
    }

    /// How many schemas were compiled and kept so far.
    #[must_use]
    pub fn compiled(&self) -> u64 {
        self.cache().compiled
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A compiled JSON Schema. Cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Compiled>);

struct Compiled {
    validator: Validator,
    digest: Digest,
    schema: Value,
    /// What to watch, where references can multiply the work.
    work: Option<Work>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({:?})", self.digest)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Schema {
    /// The digest of the schema's canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// What is wrong with the value: at most eight problems, none when it fits.
    #[must_use]
    pub fn problems(&self, value: &Value) -> Vec<Problem> {
        if deeper_than(value, MAX_DEPTH) {
            return vec![Problem::new("", "", &format!("nested deeper than {MAX_DEPTH}"))];
        }
        let Compiled { schema, work, .. } = &*self.0;
        if work.as_ref().is_some_and(|work| work.exceeds(schema, value, MAX_WORK)) {
            let text = "its schema refers to itself too often to check all of it: make it smaller, \
                        or nest it less";
            return vec![Problem::new("", "", text)];
        }
        if self.0.validator.is_valid(value) {
            return Vec::new();
        }
        let errors = self.0.validator.iter_errors(value);
        errors.flat_map(|e| Problem::of(&e, schema)).take(MAX_PROBLEMS).collect()
    }

    /// Refuses a value that does not fit.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `happened` is `No`. Its context holds a `pointer`, a `schema_path`
    /// and a `problem` for each problem; its public message says the same in plain words.
    pub fn validate(&self, value: &Value) -> Result<()> {
        self.check("value", value)
    }

    pub(crate) fn check(&self, what: &str, value: &Value) -> Result<()> {
        match self.problems(value).as_slice() {
            [] => Ok(()),
            problems => Err(refusal(what, problems)),
        }
    }
}

/// Refuses a schema that is too big to look at.
fn small_enough(schema: &Value) -> Result<()> {
    let refuse = |message, limit| Err(past(message, limit));
    if deeper_than(schema, MAX_DEPTH) {
        return refuse("the schema can't be used: it is nested too deep", MAX_DEPTH);
    }
    if more_than(schema, MAX_NODES) {
        return refuse("the schema can't be used: it holds too many values", MAX_NODES);
    }
    if heavier_than(schema, MAX_BYTES) {
        return refuse("the schema can't be used: it is too long", MAX_BYTES);
    }
    Ok(())
}

/// Refuses a schema that would compile to too much, and tells what to watch.
fn bounded(schema: &Value) -> Result<Option<Work>> {
    let message = "the schema can't be used: its references lead too deep";
    let work = Work::of(schema).map_err(|TooDeep| past(message, MAX_LEVELS))?;
    if let Some(place) = unfold::too_big(schema) {
        let message = "the schema can't be used: it gets too big when its references are unfolded";
        return Err(past(message, MAX_UNFOLDED).with("pointer", printable(&place, 512)));
    }
    if pattern::too_big(schema) {
        let message = "the schema can't be used: its patterns are too big together";
        return Err(past(message, MAX_PATTERNS));
    }
    Ok(work)
}

fn past(message: &'static str, limit: usize) -> Error {
    Error::new(ErrorKind::ValidationError, message).with("limit", limit)
}

fn unusable(error: &ValidationError<'_>) -> Error {
    let outside = matches!(
        error.kind(),
        ValidationErrorKind::Referencing(
            ReferencingError::Unretrievable { .. } | ReferencingError::UnknownSpecification { .. }
        )
    );
    let message = if outside {
        "the schema can't be used: it points to another document, and none is ever fetched"
    } else {
        "the schema can't be used"
    };
    Error::new(ErrorKind::ValidationError, message)
        .with("pointer", error.instance_path().as_str())
        .with("problem", printable(&error.to_string(), 512))
}
