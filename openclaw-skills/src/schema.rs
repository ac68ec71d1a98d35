//! JSON Schemas, compiled once and offline.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use jsonschema::{
    PatternOptions, ReferencingError, ValidationError, Validator, error::ValidationErrorKind,
};
use openclaw_core::{Digest, Error, ErrorKind, Result};
use serde_json::Value;

use crate::problem::{MAX_PROBLEMS, Problem, printable, refusal};

/// How deep a value or a schema may be nested; deeper ones are refused.
///
/// Validation recurses, so without a bound a value could exhaust the stack.
pub const MAX_DEPTH: usize = 128;

/// Compiles each JSON Schema once, however often it is asked for.
///
/// A clone shares the cache. Schemas are known by the digest of their canonical form and
/// forgotten when nothing uses them any more.
///
/// * Nothing is ever fetched: a `$ref` to a file or to the network is an error.
/// * Patterns run in linear time: look-around and back-references are errors.
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
    /// that is not linear, or is nested deeper than [`MAX_DEPTH`].
    pub fn compile(&self, schema: &Value) -> Result<Schema> {
        if deeper_than(schema, MAX_DEPTH) {
            let message = "the schema can't be used: it is nested too deep";
            return Err(Error::new(ErrorKind::ValidationError, message).with("limit", MAX_DEPTH));
        }
        let digest = Digest::of_json("openclaw-schema", schema);
        // Held while compiling (tens of microseconds): two askers must not compile twice.
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.known.get(&digest).and_then(Weak::upgrade) {
            return Ok(Schema(known));
        }
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map_err(|e| unusable(&e))?;
        let compiled = Arc::new(Compiled { validator, digest });
        cache.known.retain(|_, schema| schema.strong_count() > 0);
        cache.known.insert(digest, Arc::downgrade(&compiled));
        cache.compiled += 1;
        Ok(Schema(compiled))
    }

    /// How many schemas were compiled so far.
    #[must_use]
    pub fn compiled(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).compiled
    }
}

/// A compiled JSON Schema. Cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Compiled>);

struct Compiled {
    validator: Validator,
    digest: Digest,
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
        if self.0.validator.is_valid(value) {
            return Vec::new();
        }
        let errors = self.0.validator.iter_errors(value);
        errors.flat_map(|e| Problem::of(&e)).take(MAX_PROBLEMS).collect()
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

/// Are there more than `limit` levels of arrays and objects?
fn deeper_than(value: &Value, limit: usize) -> bool {
    let inner = |left| move |value| deeper_than(value, left);
    match (value, limit.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(left)) => items.iter().any(inner(left)),
        (Value::Object(fields), Some(left)) => fields.values().any(inner(left)),
        _ => false,
    }
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
