//! The settings of one integration, as they are written.

use serde::{Deserialize, Serialize};

use super::{
    Span,
    inherit::{Inherit, Switch, whole},
};

/// Declares settings of which each may be left out, and is inherited then: from the base as it is,
/// or as a function of both leaves it.
macro_rules! settings {
    (
        $(#[$doc:meta])* $name:ident $(, inheriting $own:path)? {
            $($(#[$field_doc:meta])* $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, default)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$kind>,
            )*
        }

        impl Inherit for $name {
            fn over(self, base: Self) -> Self {
                $(let base = $own(&self, base);)?
                Self { $($field: self.$field.over(base.$field),)* }
            }
        }
    };
}

settings! {
    /// The settings of one integration; what is left out is inherited.
    ///
    /// Each part may be `"off"`.
    Settings {
        /// The time of the whole call, its retries and waits included.
        total_timeout: Switch<Span>,
        /// How failed calls are repeated.
        retry: Switch<RetrySettings>,
        /// How many calls are made in a time.
        ///
        /// `"off"` is no quota. A Retry-After, or what the other side says is left, is heeded all
        /// the same, for 5 min at most. Who wants neither sets more calls than anybody makes,
        /// and no `learn`: `{ "calls": 4294967295, "per": "1s", "learn": false }`.
        rate_limit: Switch<RateSettings>,
        /// How many calls are in flight at once.
        concurrency: Switch<ConcurrencySettings>,
        /// When calls are refused because they would fail.
        breaker: Switch<BreakerSettings>,
        /// The time of one attempt.
        attempt_timeout: Switch<Span>,
    }
}

settings! {
    /// How failed calls are repeated.
    RetrySettings {
        /// Tries in all, the first one included. At least 1.
        attempts: u32,
        /// The first pause, before jitter.
        base: Span,
        /// What each pause is multiplied by for the next. At least 1.
        factor: f64,
        /// The longest pause, jitter included.
        cap: Span,
        /// How chance moves a pause.
        jitter: JitterSetting,
        /// Tokens of the retry budget; 0 is no budget.
        budget: u32,
    }
}

settings! {
    /// How many calls are made in a time.
    RateSettings {
        /// Calls in the time of `per`. At least 1.
        calls: u32,
        /// The time that `calls` are counted in.
        per: Span,
        /// Calls that may come at once. As many as `calls` unless set.
        burst: u32,
        /// The longest wait for a place; what would wait longer is refused. Zero refuses at once.
        max_wait: Span,
        /// Tenants that are told apart; the rest share one limit. A reload that lowers it leaves
        /// those on hand until their time is over.
        keys: usize,
        /// Does the other side's advice tighten the limit?
        learn: bool,
    }
}

settings! {
    /// How many calls are in flight at once.
    ConcurrencySettings {
        /// The most calls in flight. At least 1.
        limit: usize,
        /// The fewest, when the limit adapts to the other side. Fixed unless set. A reload keeps
        /// what it has found, within the new bounds.
        adaptive_from: usize,
        /// The longest wait for a permit. Zero refuses at once.
        max_wait: Span,
    }
}

settings! {
    /// When calls are refused because they would fail.
    BreakerSettings, inheriting without_window {
        /// Failures in a row that open it; 0 looks at rates only.
        consecutive_failures: u32,
        /// The part of failed calls in the window that opens it: above 0, at most 1.
        failure_rate: f64,
        /// The last calls that rates are taken over: 1 to 1,000,000. A tenant without failures in them is
        /// forgotten when another needs the room, 5 min behind its last call at the earliest.
        window_calls: u32,
        /// The last time that rates are taken over, at least 10 ms; instead of `window_calls`.
        window_time: Span,
        /// Calls in the window below which no rate counts.
        minimum_calls: u32,
        /// From when on a call is slow. Unset: none is.
        slow_call: Span,
        /// The part of slow calls in the window that opens it: above 0, at most 1.
        slow_call_rate: f64,
        /// How long it refuses before it tries again.
        open_wait: Span,
        /// The longest such wait, when it opens again and again.
        max_open_wait: Span,
        /// Calls that are let through to try.
        half_open_calls: u32,
    }
}

/// What settings with a window of their own inherit: none of the other kind.
fn without_window(own: &BreakerSettings, mut base: BreakerSettings) -> BreakerSettings {
    if own.window_calls.is_some() || own.window_time.is_some() {
        (base.window_calls, base.window_time) = (None, None);
    }
    base
}

/// How chance moves a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JitterSetting {
    /// Anywhere between nothing and the pause.
    Full,
    /// Anywhere between half the pause and the pause.
    Equal,
    /// Anywhere between the base and three times the last pause.
    Decorrelated,
    /// Not at all.
    None,
}

whole!(JitterSetting);
