//! What is not said is inherited; what is switched off stays off.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Takes from a base what is not set.
pub(super) trait Inherit {
    /// These settings, over those of `base`.
    #[must_use]
    fn over(self, base: Self) -> Self;
}

impl<T: Inherit> Inherit for Option<T> {
    fn over(self, base: Self) -> Self {
        match (self, base) {
            (Some(own), Some(base)) => Some(own.over(base)),
            (own, base) => own.or(base),
        }
    }
}

/// Settings that are inherited whole.
macro_rules! whole {
    ($($kind:ty),* $(,)?) => {
        $(impl $crate::middleware::stack::inherit::Inherit for $kind {
            fn over(self, _: Self) -> Self {
                self
            }
        })*
    };
}
pub(super) use whole;

whole!(bool, u32, u64, usize, f64, super::Span);

/// `"off"`, or settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Switch<T> {
    /// It is not there.
    Off,
    /// It is there, with these settings.
    On(T),
}

impl<T: Inherit> Inherit for Switch<T> {
    fn over(self, base: Self) -> Self {
        match (self, base) {
            (Self::On(own), Self::On(base)) => Self::On(own.over(base)),
            (own, _) => own,
        }
    }
}

impl<T> Switch<T> {
    /// The settings, unless it is off.
    #[must_use]
    pub const fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(settings) => Some(settings),
        }
    }
}

impl<T: Serialize> Serialize for Switch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::On(settings) => settings.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = Switch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", or settings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Switch<T>, E> {
                if text == "off" {
                    return Ok(Switch::Off);
                }
                T::deserialize(de::value::StrDeserializer::new(text)).map(Switch::On)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Switch<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Switch::On)
            }
        }

        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Switch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Switch_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [{ "const": "off" }, settings] })
    }
}
