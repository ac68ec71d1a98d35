//! What the ledger keeps of a request and of its answer.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Error, ErrorKind, Happened, Result, channel::Receipt, skill::SkillAnswer};

/// A payload that the ledger records, and tells from another under the same key.
///
/// Two payloads that are equal have the same record. Implemented for `Value`, `Arc<Value>`
/// and [`Json`].
pub trait Payload: Clone + PartialEq + Send + Sync + 'static {
    /// The payload as it is recorded, for the fingerprint, for reconciling and for people.
    ///
    /// # Errors
    /// It can't be written as JSON.
    fn record(&self) -> Result<Arc<Value>>;
}

/// An answer that the ledger stores and gives again.
///
/// What `restore` makes of a stored answer equals the answer. Implemented for
/// [`SkillAnswer`], [`Receipt`], `Value`, `Arc<Value>` and [`Json`].
pub trait Stored: Clone + Send + Sync + 'static {
    /// The answer as it is stored.
    ///
    /// # Errors
    /// It can't be written as JSON. What was asked for has happened all the same.
    fn store(&self) -> Result<SkillAnswer>;

    /// The answer that was stored.
    ///
    /// # Errors
    /// It was stored by something else, or by another version of the type.
    fn restore(stored: SkillAnswer) -> Result<Self>;
}

/// Any serde type as a payload or an answer.
///
/// ```
/// use openclaw_core::middleware::{Json, Stored};
///
/// let answer = Json(("refunded".to_owned(), 1042));
/// assert_eq!(Json::restore(answer.store()?)?, answer);
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to grow")]
pub struct Json<T>(pub T);

impl Payload for Value {
    fn record(&self) -> Result<Arc<Value>> {
        Ok(Arc::new(self.clone()))
    }
}

impl Payload for Arc<Value> {
    fn record(&self) -> Result<Self> {
        Ok(Self::clone(self))
    }
}

impl<T> Payload for Json<T>
where
    T: Serialize + Clone + PartialEq + Send + Sync + 'static,
{
    fn record(&self) -> Result<Arc<Value>> {
        write(&self.0).map(Arc::new)
    }
}

impl Stored for SkillAnswer {
    fn store(&self) -> Result<SkillAnswer> {
        Ok(self.clone())
    }

    fn restore(stored: SkillAnswer) -> Result<Self> {
        Ok(stored)
    }
}

impl Stored for Arc<Value> {
    fn store(&self) -> Result<SkillAnswer> {
        Ok(SkillAnswer::Done(Self::clone(self)))
    }

    fn restore(stored: SkillAnswer) -> Result<Self> {
        match stored {
            SkillAnswer::Done(value) => Ok(value),
            SkillAnswer::Pending(_) => Err(other()),
        }
    }
}

impl Stored for Value {
    fn store(&self) -> Result<SkillAnswer> {
        Ok(SkillAnswer::done(self.clone()))
    }

    fn restore(stored: SkillAnswer) -> Result<Self> {
        Arc::<Self>::restore(stored).map(Arc::unwrap_or_clone)
    }
}

impl Stored for Receipt {
    fn store(&self) -> Result<SkillAnswer> {
        write(self).map(SkillAnswer::done)
    }

    fn restore(stored: SkillAnswer) -> Result<Self> {
        read(stored)
    }
}

impl<T> Stored for Json<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    fn store(&self) -> Result<SkillAnswer> {
        write(&self.0).map(SkillAnswer::done)
    }

    fn restore(stored: SkillAnswer) -> Result<Self> {
        read(stored).map(Self)
    }
}

fn write<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| {
        Error::new(ErrorKind::ValidationError, "it can't be written as JSON").with_source(e)
    })
}

fn read<T: DeserializeOwned>(stored: SkillAnswer) -> Result<T> {
    let value = Value::restore(stored)?;
    serde_json::from_value(value).map_err(|e| other().with_source(e))
}

fn other() -> Error {
    Error::new(ErrorKind::ServerError, "the stored answer is of another type")
        .with_happened(Happened::Yes)
}
